(function () {
// Says what a day of a row of bars was like: the one under the pointer, or the one that the arrow keys select.
var DAYS = 90, chosen = DAYS;
function tell(row, n) {
	n = chosen = Math.max(0, Math.min(DAYS - 1, n));
	var tip = row.querySelector(".tip"), d = row.dataset, day = new Date(d.from + "T00:00:00Z");
	if (!tip) {
		tip = row.appendChild(document.createElement("span"));
		tip.className = "tip";
		tip.setAttribute("role", "status");
	}
	day.setUTCDate(day.getUTCDate() + n);
	var note = d.notes.split(";").find(function (s) { return s.split(":")[0] === String(n); });
	note = note ? note.slice(note.indexOf(":") + 1) : (n < d.first ? "no data" : "no downtime");
	tip.textContent = day.toUTCString().slice(5, 16).replace(/^0/, "") + ": " + note;
}
function rowOf(e) { return e.target.closest && e.target.closest("summary[data-from]"); }
document.addEventListener("keydown", function (e) {
	var row = rowOf(e), step = {ArrowLeft: -1, ArrowRight: 1, Home: -DAYS, End: DAYS}[e.key];
	if (!row || !step) return;
	e.preventDefault();
	tell(row, chosen + step);
});
document.addEventListener("pointermove", function (e) {
	var row = rowOf(e), bars = row && row.querySelector(".days"), box = bars && bars.getBoundingClientRect();
	if (box && e.clientX >= box.left && e.clientX < box.right && e.clientY >= box.top && e.clientY <= box.bottom)
		tell(row, Math.floor((e.clientX - box.left) / box.width * DAYS));
});
function untell(e) {
	var row = rowOf(e), tip = row && !row.contains(e.relatedTarget) && row.querySelector(".tip");
	if (tip) { tip.remove(); chosen = DAYS; }
}
document.addEventListener("pointerout", untell);
document.addEventListener("focusout", untell);
})();
(function () {
// Says beside UTC what time it is for the reader: in a tooltip, and in words where times matter most.
var BESIDE = ".banner,.head,.maintenance,.windows,.promise";
function pad(n) { return (n < 10 ? "0" : "") + n; }
function clock(d) { return pad(d.getHours()) + ":" + pad(d.getMinutes()); }
function localize() {
	document.querySelectorAll("main time[datetime]:not([title])").forEach(function (t) {
		var d = new Date(t.dateTime), end = t.dataset.end && new Date(t.dataset.end), other;
		if (isNaN(d) || !d.getTimezoneOffset()) return;
		t.title = d.toString().slice(0, 21) + " for you";
		if (!t.closest(BESIDE)) return;
		// The day matters where it is another one.
		other = d.getDate() !== d.getUTCDate() ? d.toString().slice(4, 10) + " " : "";
		var s = document.createElement("span");
		s.className = "local";
		s.textContent = " (" + other + clock(d) + (end ? " to " + clock(end) : "") + " for you)";
		t.append(s);
	});
}
var main = document.querySelector("main");
if (main) new MutationObserver(localize).observe(main, {childList: true});
localize();
})();
(function () {
// Replaces the body of the page whenever the server sends a newer one, and says at the top when no beat arrives.
var main = document.querySelector("main"), url = main && main.dataset.live;
if (!url || !window.EventSource) return;
function find(id) { return document.getElementById(id); }
find("live").hidden = false;
var stale = find("stale"), asOf = find("asof"), icon = find("icon"), color = icon.href;
var title = document.title.replace(/^Out of date – /, "");
// A beat arrives every three seconds. LIMIT is the longest time without one, in milliseconds.
var LIMIT = 5000, source, id = "", at = asOf.dateTime, heard = stale.hidden ? performance.now() : -1e9;
// When the stream was opened, and how long to wait for its first event before it is replaced.
var opened, patience = LIMIT;

function open() {
	close();
	opened = performance.now();
	source = new EventSource(id ? url.replace(/after=[^&]*/, "after=" + encodeURIComponent(id)) : url);
	source.addEventListener("page", onPage);
	source.addEventListener("status", onStatus);
	source.addEventListener("beat", onBeat);
}
function close() { if (source) source.close(); source = null; }

// An element is found again by its id, or by what distinguishes it and its number among those alike.
function selectorOf(e) {
	function by(name, of) { return "[" + name + "=" + JSON.stringify(of.getAttribute(name)) + "]"; }
	if (e.id) return by("id", e);
	var name = ["href", "name", "aria-label"].find(function (a) { return e.getAttribute(a); });
	if (name) return e.localName + by(name, e);
	var box = e.closest("main [id]");
	return (box ? by("id", box) + " " : "main ") + e.localName;
}
function all(selector) { return [].slice.call(main.querySelectorAll(selector)); }
function nameOf(e) {
	var selector = e && e !== main && main.contains(e) && selectorOf(e);
	return selector && {selector: selector, n: all(selector).indexOf(e)};
}
function named(name) {
	var alike = all(name.selector);
	return alike[name.n] || alike[0];
}

function onPage(e) {
	id = e.lastEventId;
	// What the reader opened, scrolled, focused, typed or chose stays so.
	var active = document.activeElement, focus = nameOf(active), entered = [];
	var y = active.getBoundingClientRect().top;
	var cursor = active.matches("main input") && [active.selectionStart, active.selectionEnd];
	all("input,select").forEach(function (f) {
		if (f.options || f.value !== f.defaultValue) entered.push([nameOf(f), f.value]);
	});
	var open = all("details[open][id]").map(function (d) { return d.id; });
	var scrolls = all(".scroll").map(function (t) { return [nameOf(t), t.scrollLeft, t.scrollTop]; });
	main.innerHTML = e.data;
	open.forEach(function (id) { var d = find(id); if (d) d.open = true; });
	scrolls.forEach(function (s) {
		var t = named(s[0]);
		if (t) t.scrollTo(s[1], s[2]);
	});
	entered.forEach(function (pair) {
		var f = named(pair[0]);
		if (f) f.value = pair[1];
		if (f && f.selectedIndex < 0) f.selectedIndex = 0; // the option is gone
	});
	if (focus && (focus = named(focus))) {
		focus.focus({preventScroll: true});
		scrollBy(0, focus.getBoundingClientRect().top - y); // what grew above it does not move it
		if (cursor) focus.setSelectionRange(cursor[0], cursor[1]);
	}
	document.dispatchEvent(new Event("newpage"));
	// The icon has the color of the banner.
	var banner = main.querySelector(".banner"), c = banner && getComputedStyle(banner).getPropertyValue("--c");
	if (c) color = dot(c.trim());
	show();
}
function onStatus(e) {
	id = e.lastEventId;
	if (main.dataset.titled === undefined) title = JSON.parse(e.data).title;
	show();
}
function onBeat(e) {
	heard = performance.now();
	patience = LIMIT;
	at = asOf.dateTime = e.data;
	// "Thu, 05 Nov 2026 02:31:07 GMT" becomes "5 Nov 2026 02:31 UTC", as the server writes it.
	asOf.textContent = words();
	show();
}
function words() { return new Date(at).toUTCString().slice(5, -7).replace(/^0/, "") + " UTC"; }
function dot(c) { return icon.href.replace(/fill='[^']*'/, "fill='" + encodeURIComponent(c) + "'"); }

// Shows the title and the icon, and whether they are out of date.
function show() {
	var old = performance.now() - heard > LIMIT;
	document.title = (old ? "Out of date – " : "") + title;
	var wanted = old ? dot("#5b6570") : color;
	if (icon.href !== wanted) icon.href = wanted;
	document.documentElement.classList.toggle("old", old);
	if (stale.hidden !== old) return;
	// The date matters on another day only.
	var time = words(), today = at.slice(0, 10) === new Date().toISOString().slice(0, 10);
	find("heard").textContent = today ? at.slice(11, 16) + " UTC" : time;
	stale.hidden = !old;
}

// Replaces a stream that stalls, or that a proxy answered with an error, with exponential backoff.
function watch() {
	if (document.hidden) return;
	show();
	var now = performance.now();
	if (now - heard > LIMIT && now - opened > patience) {
		patience = Math.min(2 * patience, 30000) * (.75 + Math.random() / 2);
		open();
	}
}
// A hidden page costs nothing. When it is shown again, it waits a second for a beat before it says that it is out of
// date.
function wake() {
	heard = Math.max(heard, performance.now() - LIMIT + 1000);
	patience = LIMIT;
	open();
}
document.addEventListener("visibilitychange", function () { if (document.hidden) close(); else wake(); });
addEventListener("pagehide", close);
addEventListener("pageshow", function (e) { if (e.persisted && !document.hidden) wake(); });
setInterval(watch, 500);
if (!document.hidden) open();
})();
