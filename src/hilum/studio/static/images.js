// The first page: sorts and filters its tiles, takes in dropped images, and looks closer when all is shown.
const by = (id) => document.getElementById(id);
const gallery = by("gallery");
let asked = 0;

async function answer(address, options) {
  try {
    const found = await fetch(address, options);
    if (found.ok) return found;
    const told = await found.json().catch(() => ({ error: found.statusText }));
    return { ok: false, error: told.error };
  } catch {
    return { ok: false, error: "The studio does not answer: is it still running in its terminal?" };
  }
}

async function show(start = 0) {
  const mine = ++asked;
  const query = new URLSearchParams({ sort: by("sort").value, keep: by("keep").value, text: by("find").value, start });
  const found = await answer(`/api/tiles?${query}`);
  if (mine !== asked) return; // a later choice has been made meanwhile
  if (!found.ok) return void (by("counted").textContent = found.error);
  const tiles = await found.json();
  if (start) gallery.insertAdjacentHTML("beforeend", tiles.html);
  else gallery.innerHTML = tiles.html;
  by("counted").textContent = tiles.words;
  following(tiles.next);
}

function following(next) {
  gallery.dataset.next = next ?? "";
  by("more").hidden = !gallery.dataset.next;
  near.disconnect(); // observed anew, it tells at once where the end is in sight still
  near.observe(by("more"));
}

const more = () => gallery.dataset.next && show(Number(gallery.dataset.next));
const near = new IntersectionObserver((seen) => seen[0].isIntersecting && more(), { rootMargin: "600px" });
by("more").addEventListener("click", more);
for (const id of ["sort", "keep"]) by(id).addEventListener("change", () => show());
let typing = 0;
by("find").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(show, 150);
});
following(gallery.dataset.next);

by("gather")?.addEventListener("click", async () => {
  const found = await answer("/api/gather", { method: "POST" });
  if (found.ok) location.reload();
  else alert(found.error);
});

async function take(files) {
  const lines = by("added");
  by("adding").open = true;
  let taken = 0;
  for (const file of files) {
    const line = lines.appendChild(document.createElement("div"));
    line.textContent = `${file.name}: is being copied …`;
    const found = await answer(`/api/image?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    taken += found.ok ? 1 : 0;
    line.className = found.ok ? "good" : "bad";
    line.textContent = found.ok ? `${file.name}: is in the folder` : found.error;
  }
  if (taken === files.length) location.reload();
  else show();
}

by("files").addEventListener("change", (event) => take([...event.target.files]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  by("adding").open = true;
  document.querySelector(".drop").classList.add("over");
});
document.addEventListener("dragleave", () => document.querySelector(".drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.querySelector(".drop").classList.remove("over");
  if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
});

// Every pixel is looked at only once the pictures in sight are there: they come first.
const findings = by("findings");
const inSight = () =>
  [...gallery.querySelectorAll("img")].filter((one) => one.getBoundingClientRect().top < innerHeight).every((one) => one.complete);
async function lookCloser() {
  if (!inSight()) return void setTimeout(lookCloser, 300);
  const found = await answer("/api/findings");
  if (found.ok) findings.innerHTML = await found.text();
  delete findings.dataset.pending;
}
if ("pending" in findings.dataset) setTimeout(lookCloser, 400);
