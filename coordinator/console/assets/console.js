(function () {
// A matrix is one stop of the Tab key, from which arrow keys move, as in the grid pattern of the ARIA Authoring
// Practices Guide. The line below it describes the cell under the pointer or in focus. The marks of the timeline are
// one stop, too: there are hundreds of them after a bad night.
var main = document.querySelector("main"), shown = "", current = {};
function cellOf(e) { return e.target.closest && e.target.closest(".heat tbody td"); }
function columnName(table, n) {
	var a = table.tHead.rows[0].cells[n].querySelector("a");
	return a ? a.title || a.textContent : "";
}
function describeCell(cell) {
	var detail = document.getElementById("detail"), a = cell.firstElementChild;
	if (!detail || !a || !a.title) return;
	var row = cell.parentNode.cells[0].querySelector("a");
	var text = (row ? row.firstChild.textContent.trim() : "") + " from " +
		columnName(cell.closest("table"), cell.cellIndex) + ": " + a.title;
	if (text !== shown) detail.textContent = shown = text;
}
// Makes a link the only one of its box that the Tab key reaches.
function makeStop(box, link) {
	var old = box.querySelector("a[tabindex='0']");
	if (old) old.tabIndex = -1;
	link.tabIndex = 0;
	current[box.localName] = link.getAttribute("href");
}
var BOXES = ".heat table,svg.timeline";
// The stop of a matrix is the link that had the focus last, or that of the first host; that of a timeline, the latest
// mark.
function makeStops() {
	main.querySelectorAll(BOXES).forEach(function (box) {
		var links = [].slice.call(box.querySelectorAll("a")), focused = box.querySelector("a:focus");
		links.forEach(function (a) { a.tabIndex = -1; });
		var same = links.filter(function (a) { return a.getAttribute("href") === current[box.localName]; })[0];
		var link = focused || same || box.querySelector("tbody a") || links[0];
		if (box.localName === "table") box.setAttribute("role", "grid");
		if (link) makeStop(box, link);
		if (link && focused) describeMark(link);
	});
}
function describeMark(a) {
	var mark = document.getElementById("mark");
	if (mark && a.closest("svg.timeline")) mark.textContent = a.getAttribute("aria-label");
}
// The marks stand in the page from the latest to the earliest one.
document.addEventListener("keydown", function (e) {
	var mark = e.target.closest && e.target.closest("svg.timeline a");
	var step = {ArrowLeft: 1, ArrowUp: 1, ArrowRight: -1, ArrowDown: -1, Home: 1e4, End: -1e4}[e.key];
	if (!mark || !step || e.altKey || e.metaKey || e.ctrlKey) return;
	e.preventDefault();
	var all = [].slice.call(mark.closest("svg").querySelectorAll("a")), n = all.indexOf(mark) + step;
	all[Math.max(0, Math.min(all.length - 1, n))].focus();
});
// PAGE is how many rows a page is.
var PAGE = 10, STEPS = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
	PageUp: [-PAGE, 0], PageDown: [PAGE, 0], Home: [0, -1e4], End: [0, 1e4]};
document.addEventListener("keydown", function (e) {
	var cell = e.target.closest && e.target.closest(".heat th,.heat td"), step = STEPS[e.key];
	if (!cell || !step || e.altKey || e.metaKey || e.ctrlKey && Math.abs(step[1]) < 2) return;
	e.preventDefault();
	var rows = cell.closest("table").rows, y = cell.parentNode.rowIndex + step[0], x = cell.cellIndex + step[1];
	if (e.ctrlKey) y = step[1] < 0 ? 0 : rows.length - 1;
	// Beyond an edge it is the edge. A cell without a link is passed over, towards the middle where it is at an edge.
	var last = rows[0].cells.length - 1, dy = Math.sign(step[0]), dx = Math.sign(step[1]);
	if (y < 0 || y >= rows.length) { y = Math.max(0, Math.min(rows.length - 1, y)); dy = -dy; }
	if (x < 0 || x > last) { x = Math.max(0, Math.min(last, x)); dx = -dx; }
	for (; rows[y] && rows[y].cells[x]; y += dy, x += dx) {
		var a = rows[y].cells[x].querySelector("a");
		if (a) return a.focus();
	}
});
document.addEventListener("focusin", function (e) {
	var box = e.target.closest && e.target.localName === "a" && e.target.closest(BOXES);
	if (box) makeStop(box, e.target);
	if (box) describeMark(e.target);
});
// A browser does not scroll to a link of which 32 pixels are seen.
document.addEventListener("focusin", function (e) {
	if (e.target.matches(".scroll :focus-visible")) e.target.scrollIntoView({block: "nearest", inline: "nearest"});
});
function onCell(e) { var cell = cellOf(e); if (cell) describeCell(cell); }
document.addEventListener("focusin", onCell);
document.addEventListener("pointerover", onCell);
// Shows the hint above a table where the table is wider than its box.
function showHints() {
	document.querySelectorAll(".sideways").forEach(function (p) {
		var box = p.nextElementSibling, wide = box && box.scrollWidth > box.clientWidth + 1;
		p.hidden = !wide;
		p.classList.toggle("always", wide);
	});
}
document.documentElement.classList.add("scripts");
showHints();
makeStops();
// The timeline is wider than a phone: it is scrolled to the moment that the page shows.
var cursor = main.querySelector(".timeline .cursor"), line = cursor && cursor.closest(".line");
if (line) {
	var at = cursor.getBoundingClientRect().left - line.getBoundingClientRect().left;
	line.scrollLeft += at - line.clientWidth / 2;
}
addEventListener("resize", showHints);
document.addEventListener("newpage", function () {
	showHints();
	makeStops();
	shown = "";
	var focused = document.activeElement && document.activeElement.closest(".heat tbody td");
	var cell = focused || main.querySelector(".heat tbody td:hover");
	if (cell) describeCell(cell);
});
})();
