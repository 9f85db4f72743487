// The colours that the reader has chosen, kept for the next page where the browser keeps anything; the list of all
// pages, scrolled to this one; and the keyboard reaches what has to be scrolled sideways.
(() => {
  const root = document.documentElement;
  let kept;
  try { kept = localStorage.getItem("theme"); } catch { /* a browser that keeps nothing */ }
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  addEventListener("DOMContentLoaded", () => {
    const chosen = document.getElementById(`theme-${root.dataset.theme ?? "auto"}`);
    chosen.checked = true;
    document.querySelector(".theme").addEventListener("change", event => {
      delete root.dataset.theme;
      if (event.target.value !== "auto") root.dataset.theme = event.target.value;
      try { localStorage.setItem("theme", event.target.value); } catch { /* this page alone, then */ }
    });
    const reach = () => {
      for (const box of document.querySelectorAll(".scroll, .formula"))
        if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    };
    reach();
    addEventListener("resize", reach);
    addEventListener("toggle", reach, true);
    const contents = document.getElementById("contents");
    const here = contents.querySelector("[aria-current]");
    if (here) contents.scrollTop = here.offsetTop - contents.clientHeight / 3;
  });
})();
