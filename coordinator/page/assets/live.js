(function(){
var m=document.querySelector("main"),l=m&&m.dataset.live;
if(!l||!window.EventSource)return;
var s=new EventSource(l),a=document.getElementById("asof"),t=0;
s.addEventListener("page",function(e){
var f=document.activeElement&&m.contains(document.activeElement)&&document.activeElement.id,o=[];
m.querySelectorAll("details[open][id]").forEach(function(d){o.push(d.id)});
var x=m.querySelector(".scroll"),p=x?x.scrollLeft:0;
m.innerHTML=e.data;
o.forEach(function(i){var d=document.getElementById(i);if(d)d.open=true});
if(x&&(x=m.querySelector(".scroll")))x.scrollLeft=p;
if(f&&(f=document.getElementById(f)))f.focus()});
s.addEventListener("status",function(e){t=performance.now();var d=JSON.parse(e.data);document.title=d.title;
if(a){a.dateTime=d.at;a.textContent=d.at.slice(0,19).replace("T"," ")+" UTC"}});
var w=document.getElementById("stale");
setInterval(function(){if(w)w.hidden=!t||performance.now()-t<15000},2000)})();
