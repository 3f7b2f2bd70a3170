(function () {
// Loads the files of charts when one comes into view: most readers look no further than the first lines.
var main = document.querySelector("main"), files = main && main.dataset;
if (!files || !files.chartScript || !window.IntersectionObserver) return;
document.documentElement.classList.add("charted");
var seen = new IntersectionObserver(function (entries) {
	if (!entries.some(function (e) { return e.isIntersecting; })) return;
	seen.disconnect();
	watched.disconnect();
	var link = document.createElement("link"), script = document.createElement("script");
	link.rel = "stylesheet";
	link.href = files.chartStyle;
	// The colors of the lines are in the style.
	link.onload = link.onerror = function () { document.head.append(script); };
	script.src = files.chartScript;
	document.head.append(link);
});
function watch() { main.querySelectorAll("figure.chart").forEach(function (f) { seen.observe(f); }); }
var watched = new MutationObserver(watch);
watched.observe(main, {childList: true});
watch();
})();
