// Dark or light: as the system has it, until someone chooses.
(() => {
  const set = (dark) => {
    if (window.Quasar) Quasar.Dark.set(dark);
    else document.body.classList.toggle("body--dark", dark);
  };
  const asChosen = () => {
    const kept = localStorage.getItem("hilum-dark");
    if (kept !== null) set(kept === "1");
    else if (!window.Quasar) set(matchMedia("(prefers-color-scheme: dark)").matches);
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("#dark")) return;
    const dark = !document.body.classList.contains("body--dark");
    set(dark);
    localStorage.setItem("hilum-dark", dark ? "1" : "0");
  });
  window.addEventListener("load", () => setTimeout(asChosen, 50)); // other pages' own script sets it once more
  asChosen();
})();
