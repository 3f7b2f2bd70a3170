(function () {
// Says in the reader's browser how old a copy is. copy.json beside the front page has the time of the latest copy, in
// which this page may have stayed the same.
var line = document.getElementById("copy"), LIMIT = 900000, skew = 0, title = document.title, shown;
if (!line) return;
var at = Date.parse(line.dataset.at), words = line.textContent;
function show() {
	var old = Date.now() + skew - at > LIMIT, text = (old ? "Out of date: things may have changed since. " : "") + words;
	document.documentElement.classList.toggle("old", old);
	document.title = (old ? "Out of date – " : "") + title;
	if (shown !== text) line.textContent = shown = text;
}
function read() {
	if (document.hidden) return;
	fetch(line.dataset.root + "copy.json", {cache: "no-store"}).then(function (r) {
		// The server's clock says how old the copy is, the reader's may be wrong.
		var now = Date.parse(r.headers.get("Date"));
		if (now) skew = now - Date.now();
		return r.ok ? r.json() : {};
	}).then(function (copy) {
		var read = Date.parse(copy.at);
		if (!(read > at) || read > Date.now() + skew + LIMIT) return;
		at = read;
		var stamp = new Date(at).toUTCString();
		words = "Copy of " + stamp.slice(17, 22) + " UTC, " + stamp.slice(5, 16).replace(/^0/, "") + ".";
	}).catch(function () {}).then(show);
}
show();
read();
setInterval(read, 60000);
document.addEventListener("visibilitychange", read);
setInterval(show, 5000);
})();
