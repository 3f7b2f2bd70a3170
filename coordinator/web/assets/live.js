(function () {
// Replaces the body of the page whenever the server sends a newer one.
var main = document.querySelector("main"), url = main && main.dataset.live;
if (!url || !window.EventSource) return;
var source = new EventSource(url), asOf = document.getElementById("asof"), stale = document.getElementById("stale");
// When the latest status arrived.
var last = 0;
source.addEventListener("page", function (e) {
	// What the reader opened, scrolled or focused stays so.
	var focus = document.activeElement && main.contains(document.activeElement) && document.activeElement.id;
	var open = [];
	main.querySelectorAll("details[open][id]").forEach(function (d) { open.push(d.id); });
	var table = main.querySelector(".scroll"), left = table ? table.scrollLeft : 0;
	main.innerHTML = e.data;
	open.forEach(function (id) { var d = document.getElementById(id); if (d) d.open = true; });
	if (table && (table = main.querySelector(".scroll"))) table.scrollLeft = left;
	if (focus && (focus = document.getElementById(focus))) focus.focus();
});
source.addEventListener("status", function (e) {
	var status = JSON.parse(e.data);
	last = performance.now();
	document.title = status.title;
	if (!asOf) return;
	asOf.dateTime = status.at;
	// "Thu, 05 Nov 2026 02:31:07 GMT" becomes "5 Nov 2026 02:31:07 UTC", as the server writes it.
	asOf.textContent = new Date(status.at).toUTCString().slice(5, -3).replace(/^0/, "") + "UTC";
});
// A status arrives every two seconds while the coordinator judges; 15 s without one is staleAfter in layout.go.
setInterval(function () { if (stale) stale.hidden = !last || performance.now() - last < 15000; }, 2000);
})();
