(function () {
// Arrow keys move through a matrix, and the line below it says what the cell under the pointer or the focus has seen.
var main = document.querySelector("main"), shown = "";
function cellOf(e) { return e.target.closest && e.target.closest(".heat tbody td"); }
function headOf(table, n) {
	var a = table.tHead.rows[0].cells[n].querySelector("a");
	return a ? a.title || a.textContent : "";
}
function tell(cell) {
	var detail = document.getElementById("detail"), a = cell.firstElementChild;
	if (!detail || !a || !a.title) return;
	var row = cell.parentNode.cells[0].querySelector("a");
	var text = (row ? row.firstChild.textContent.trim() : "") + " from " + headOf(cell.closest("table"), cell.cellIndex) +
		": " + a.title;
	if (text !== shown) detail.textContent = shown = text;
}
document.addEventListener("keydown", function (e) {
	var cell = cellOf(e), step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
		Home: [0, -1e4], End: [0, 1e4]}[e.key];
	if (!cell || !step || e.ctrlKey || e.altKey || e.metaKey) return;
	e.preventDefault();
	var rows = cell.closest("tbody").rows, jump = Math.abs(step[1]) > 1;
	var y = cell.parentNode.sectionRowIndex, x = jump ? (step[1] < 0 ? 0 : cell.parentNode.cells.length) : cell.cellIndex;
	if (jump) step = [0, step[1] < 0 ? 1 : -1];
	for (;;) {
		y += step[0];
		x += step[1];
		var next = rows[y] && x > 0 && rows[y].cells[x];
		if (!next) return;
		var a = next.querySelector("a");
		if (a) return a.focus();
	}
});
function heard(e) { var cell = cellOf(e); if (cell) tell(cell); }
document.addEventListener("focusin", heard);
document.addEventListener("pointerover", heard);
// The hint above a table is shown where the table is wider than its box.
function hint() {
	document.querySelectorAll(".sideways").forEach(function (p) {
		var box = p.nextElementSibling, wide = box && box.scrollWidth > box.clientWidth + 1;
		p.hidden = !wide;
		p.classList.toggle("always", wide);
	});
}
hint();
addEventListener("resize", hint);
document.addEventListener("newpage", function () {
	hint();
	shown = "";
	var focused = document.activeElement && document.activeElement.closest(".heat tbody td");
	var cell = focused || main.querySelector(".heat tbody td:hover");
	if (cell) tell(cell);
});
})();
