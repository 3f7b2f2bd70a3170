// Shows the status of a page on another site: <script async src="https://STATUS/widget.js" data-host="NC036"></script>
(function () {
var script = document.currentScript;
if (!script) return;
var copied = false; // in a static copy of the page, whose age copy.json has
var base = script.src.replace(/widget\.js([?#].*)?$/, ""), host = script.dataset.host || "";
var LIMIT = 900000, heard = 0, link = document.createElement("a"), shape = document.createElement("span");
var words = document.createElement("span"), looks = {
	operational: "#0f7b46 ●", none: "#0f7b46 ●", degraded_performance: "#8a5a00 ▲", minor: "#8a5a00 ▲",
	partial_outage: "#b04a00 ◆", major: "#b04a00 ◆", major_outage: "#b3261e ■", critical: "#b3261e ■",
	under_maintenance: "#2456c9 ◐", maintenance: "#2456c9 ◐", unknown: "#5b6570 ○"
};
var names = {
	operational: "Operational", degraded_performance: "Degraded performance", partial_outage: "Partial outage",
	major_outage: "Major outage", under_maintenance: "Under maintenance", unknown: "Unknown"
};
link.href = base + (host ? "hosts/" + encodeURIComponent(host) : "");
link.className = "probemesh-status";
// By the object model: a page's policy may forbid style elements and attributes.
link.style.color = "inherit";
link.style.textDecoration = "none";
shape.setAttribute("aria-hidden", "true");
shape.style.marginRight = ".4em";
link.append(shape, words);

// Texts are set as text: nothing in a title becomes markup.
function show(look, text) {
	var parts = (looks[look] || looks.unknown).split(" ");
	shape.style.color = parts[0];
	shape.textContent = parts[1];
	words.textContent = String(text).slice(0, 200);
	if (!link.parentNode) script.after(link);
}
function unknown(text) { return text && text.indexOf("Unknown:") === 0; }
function tell(data) {
	var s = data.status, open = data.incidents[0];
	if (host) {
		var c = data.components.filter(function (c) { return c.group && c.name.toLowerCase() === host.toLowerCase(); })[0];
		var look = !c || unknown(c.description) ? "unknown" : c.status;
		return show(look, host + ": " + (names[look] || look));
	}
	if (unknown(s.description)) return show("unknown", s.description);
	show(s.indicator, s.description + (open ? ": " + open.name : ""));
}
function read(file) {
	return fetch(base + file, {cache: "no-cache", credentials: "omit"}).then(function (r) {
		if (!r.ok) throw 0;
		return r.json();
	});
}
function load() {
	if (document.hidden) return;
	Promise.all([read("api/v2/summary.json"), copied ? read("copy.json") : 0]).then(function (all) {
		if (copied && Date.now() - Date.parse(all[1].at) > LIMIT) throw 0;
		tell(all[0]);
		heard = Date.now();
	}).catch(function () {
		if (heard || copied) {
			if (Date.now() - heard > 180000) show("unknown", "Status out of date");
			return;
		}
		// The page's policy may permit pictures alone.
		show("unknown", "");
		var badge = new Image();
		badge.onload = function () { link.replaceChildren(badge); };
		badge.onerror = function () { show("unknown", "Status"); };
		badge.alt = "Status";
		badge.src = base + (host ? "badge/" + encodeURIComponent(host) + ".svg" : "badge.svg");
	});
}
load();
setInterval(load, 60000);
document.addEventListener("visibilitychange", load);
})();
