(function () {
  "use strict";
  function key(row, place) {
    var cell = row.cells[place];
    if (cell.dataset.key !== undefined) { return Number(cell.dataset.key); }
    return cell.textContent.trim() === "–" ? "" : cell.textContent.trim();
  }
  function compare(one, other) {
    if (one === "" || other === "") { return (one === "") - (other === ""); }
    if (typeof one === "number" && typeof other === "number") { return one - other; }
    return String(one).localeCompare(String(other), undefined, { numeric: true });
  }
  function sort(head, place) {
    var up = head.getAttribute("aria-sort") !== "ascending";
    var body = head.closest("table").tBodies[0];
    Array.from(head.parentNode.cells).forEach(function (other) { other.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    Array.from(body.rows).sort(function (one, other) {
      var a = key(one, place), b = key(other, place);
      return a === "" || b === "" ? compare(a, b) : (up ? 1 : -1) * compare(a, b);
    }).forEach(function (row) { body.appendChild(row); });
  }
  document.querySelectorAll("table.sortable thead th").forEach(function (head) {
    var button = document.createElement("span"), place = head.cellIndex;
    button.setAttribute("role", "button");
    button.tabIndex = 0;
    while (head.firstChild) { button.appendChild(head.firstChild); }
    button.addEventListener("click", function () { sort(head, place); });
    button.addEventListener("keydown", function (event) {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(head, place); }
    });
    head.appendChild(button);
  });
  var closer = document.querySelector("dialog.closer");
  if (closer && closer.showModal) {
    document.querySelectorAll(".panels img, .figures img").forEach(function (image) {
      image.classList.add("opens");
      image.addEventListener("click", function () {
        closer.querySelector("img").src = image.src;
        closer.querySelector("p").textContent = image.alt;
        closer.showModal();
      });
    });
    closer.addEventListener("click", function () { closer.close(); });
  }
  var links = document.querySelectorAll(".contents a");
  if (links.length && "IntersectionObserver" in window) {
    var watcher = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (!entry.isIntersecting) { return; }
        links.forEach(function (link) {
          link.classList.toggle("here", link.getAttribute("href") === "#" + entry.target.id);
        });
      });
    }, { rootMargin: "-10% 0px -75% 0px" });
    document.querySelectorAll("main section").forEach(function (section) { watcher.observe(section); });
  }
})();
