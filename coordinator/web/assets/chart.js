(function () {
// Draws the charts of the page with uPlot: their data is in a script element inside, or at data-source.
var DASHES = [[], [7, 3], [2, 3], [10, 3, 2, 3]], COLORS = 10, HEIGHT = 240;
var dark = matchMedia("(prefers-color-scheme: dark)");
// What is drawn already, by the id of its element: a page that updates by itself keeps the drawing.
var drawn = {};

function css(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
function two(n) { return (n < 10 ? "0" : "") + n; }
var MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
function day(d) { return d.getUTCDate() + " " + MONTHS[d.getUTCMonth()]; }
function moment(seconds, step) {
	var d = new Date(seconds * 1000);
	return day(d) + (step < 86400 ? " " + two(d.getUTCHours()) + ":" + two(d.getUTCMinutes()) + " UTC" : "");
}
function number(v) { return v == null ? "–" : v < 10 ? v.toFixed(1) : String(Math.round(v)); }
function swatch(color, dash) {
	var ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg");
	var line = document.createElementNS(ns, "path");
	svg.setAttribute("viewBox", "0 0 26 8");
	svg.setAttribute("aria-hidden", "true");
	line.setAttribute("d", "M0 4h26");
	line.setAttribute("stroke", color);
	line.setAttribute("stroke-width", "3");
	line.setAttribute("stroke-dasharray", dash.join(" "));
	svg.appendChild(line);
	return svg;
}

// Shades the periods of the marks and draws those without an end as a line.
function shade(u, marks) {
	var c = u.ctx, box = u.bbox;
	c.save();
	c.beginPath();
	c.rect(box.left, box.top, box.width, box.height);
	c.clip();
	marks.forEach(function (m) {
		var from = u.valToPos(m.from, "x", true), to = m.to ? u.valToPos(m.to, "x", true) : from;
		if (to < box.left || from > box.left + box.width) return;
		c.fillStyle = css(m.quiet ? "--soft" : "--down");
		c.globalAlpha = m.to ? .18 : .8;
		c.fillRect(from, box.top, Math.max(2, to - from), box.height);
	});
	c.restore();
}

// Probes that were lost are drawn on the line, or at the bottom where nothing answered: more of them higher, and in
// another color.
var LOST = [[5, "--degraded"], [20, "--partial"], [Infinity, "--down"]];
function level(percent) { return LOST.findIndex(function (l) { return percent < l[0]; }); }
function losses(u, data) {
	var c = u.ctx, box = u.bbox, dots = devicePixelRatio || 1;
	// Narrower than a step, so that the line below shows whose it is.
	var step = u.valToPos(data.from + data.step, "x", true) - u.valToPos(data.from, "x", true);
	var wide = Math.min(8 * dots, Math.max(3 * dots, .6 * step));
	c.save();
	c.beginPath();
	c.rect(box.left, box.top, box.width, box.height);
	c.clip();
	data.series.forEach(function (s) {
		if (u.series[s.at].show) (s.lost || []).forEach(function (percent, i) {
			if (!percent) return;
			var n = level(percent), high = (4 + 3 * n) * dots, bottom = box.top + box.height - high / 2;
			var x = u.valToPos(data.from + i * data.step, "x", true);
			var y = s.values[i] == null ? bottom : Math.min(bottom, u.valToPos(s.values[i], "y", true));
			c.fillStyle = css(LOST[n][1]);
			c.fillRect(x - wide / 2, y - high / 2, wide, high);
		});
	});
	c.restore();
}
// What these marks mean, in words.
function lossKey() {
	var key = document.createElement("span");
	key.className = "losses";
	key.append("Lost:");
	["under 5 %", "under 20 %", "20 % and more"].forEach(function (words, n) {
		var mark = document.createElement("i");
		mark.className = "l" + n;
		key.append(mark, words);
	});
	return key;
}

// Values without a neighbor, which no line shows, are drawn as points.
function alone(u, n) {
	var values = u.data[n], out = [];
	values.forEach(function (v, i) {
		if (v != null && values[i - 1] == null && values[i + 1] == null) out.push(i);
	});
	return out;
}

// The edges of the smoke above a line, from the lowest: its lower part is darker than its upper one.
function edges(s) {
	return s.high ? [s.values, s.mid, s.high] : [];
}

function options(data, width, keys) {
	var grid = {stroke: css("--line"), width: 1}, ink = css("--soft"), unit = data.unit ? " " + data.unit : "";
	var font = "12px system-ui, sans-serif", series = [{}], bands = [];
	data.series.forEach(function (s, n) {
		var color = css("--s" + n % COLORS), dash = DASHES[n % DASHES.length];
		edges(s).forEach(function (edge, i, all) {
			if (i) bands.push({series: [series.length, series.length - 1], fill: color + (i < all.length - 1 ? "55" : "26")});
			series.push({show: true, points: {show: false}});
		});
		s.at = series.length;
		series.push({label: s.name, stroke: color, width: 2, dash: dash, spanGaps: false,
			points: {show: false, size: 5, fill: color, filter: alone}});
	});
	return {
		width: width, height: HEIGHT, series: series, bands: bands, legend: {show: false},
		tzDate: function (s) { return uPlot.tzDate(new Date(s * 1000), "UTC"); },
		cursor: {y: false, drag: {x: false, y: false}, points: {size: 7}},
		scales: {y: {range: function (u, low, high) { return [0, high > 0 ? high * 1.08 : 1]; }}},
		axes: [
			{stroke: ink, font: font, grid: grid, ticks: grid, space: 70, values: function (u, at, i, space, step) {
				return at.map(function (s) {
					var d = new Date(s * 1000), time = two(d.getUTCHours()) + ":" + two(d.getUTCMinutes());
					return step >= 86400 || time === "00:00" ? day(d) : time;
				});
			}},
			{stroke: ink, font: font, grid: grid, ticks: {show: false}, size: 58, values: function (u, at) {
				return at.map(function (v) { return v + unit; });
			}}
		],
		hooks: {
			drawClear: [function (u) { shade(u, data.marks || []); }],
			draw: [function (u) { losses(u, data); }],
			setCursor: [function (u) { keys(u.cursor.idx); }]
		}
	};
}

function columns(data) {
	var length = Math.max.apply(null, data.series.map(function (s) { return s.values.length; }).concat(0)), xs = [];
	for (var i = 0; i < length; i++) xs.push(data.from + i * data.step);
	var out = [xs];
	data.series.forEach(function (s) {
		out.push.apply(out, edges(s));
		out.push(s.values);
	});
	return out;
}

// Draws one chart and the keys below it: a button for each line, which hides it, with its value at the pointer.
function draw(plot, data) {
	var values = [], at = document.createElement("span"), list = document.createElement("div"), u;
	function tell(i) {
		at.textContent = i == null ? "" : moment(data.from + i * data.step, data.step);
		values.forEach(function (v, n) {
			var s = data.series[n], lost = i != null && s.lost && s.lost[i];
			v.textContent = i == null ? "" : number(s.values[i]) + (lost ? ", " + number(lost) + " % lost" : "");
		});
	}
	plot.textContent = ""; // and has no width now
	u = new uPlot(options(data, plot.parentNode.clientWidth || 600, tell), columns(data), plot);
	list.className = "keys";
	at.className = "at";
	data.series.forEach(function (s, n) {
		var b = document.createElement("button"), v = document.createElement("b");
		b.type = "button";
		b.setAttribute("aria-pressed", "true");
		b.append(swatch(css("--s" + n % COLORS), DASHES[n % DASHES.length]), s.name, v);
		b.addEventListener("click", function () {
			var on = b.getAttribute("aria-pressed") !== "true";
			b.setAttribute("aria-pressed", String(on));
			u.setSeries(s.at, {show: on});
		});
		b.addEventListener("pointerenter", function () { u.setSeries(s.at, {focus: true}); });
		b.addEventListener("pointerleave", function () { u.setSeries(null, {focus: false}); });
		values.push(v);
		list.append(b);
	});
	if (data.series.some(function (s) { return s.lost; })) list.append(lossKey());
	list.append(at);
	plot.after(list);
	new ResizeObserver(function () {
		if (plot.clientWidth && plot.clientWidth !== u.width) u.setSize({width: plot.clientWidth, height: HEIGHT});
	}).observe(plot);
	return {plot: plot, list: list, end: function () { u.destroy(); list.remove(); }};
}

function show(figure, text, data) {
	var old = drawn[figure.id], plot = figure.querySelector(".plot");
	if (old && old.plot === plot && old.text === text) return;
	if (old && old.text === text) {
		plot.replaceWith(old.plot);
		old.plot.after(old.list);
		return;
	}
	if (old) old.end();
	var made = draw(plot, data);
	made.text = text;
	drawn[figure.id] = made;
}
function showAll() {
	document.querySelectorAll("figure.chart").forEach(function (figure) {
		var inside = figure.querySelector("script"), source = figure.dataset.source;
		if (inside) show(figure, inside.textContent, JSON.parse(inside.textContent));
		else if (source && !(drawn[figure.id] && figure.contains(drawn[figure.id].plot))) {
			if (drawn[figure.id]) return show(figure, drawn[figure.id].text);
			fetch(source).then(function (r) { return r.ok ? r.text() : Promise.reject(r.status); })
				.then(function (text) { show(figure, text, JSON.parse(text)); })
				.catch(function () { figure.querySelector(".plot").textContent = "The values cannot be read now."; });
		}
	});
}
dark.addEventListener("change", function () {
	Object.keys(drawn).forEach(function (id) { drawn[id].end(); delete drawn[id]; });
	showAll();
});
new MutationObserver(showAll).observe(document.querySelector("main"), {childList: true});
showAll();
})();
