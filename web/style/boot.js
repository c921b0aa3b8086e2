// Sets the theme that was chosen before the first paint, asks for the code of the page, then starts the interface.
// Lives here because it decides how the very first frame looks, and because the page's policy forbids inline scripts.
try {
  const theme = localStorage.getItem("spanlight.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // A browser that keeps nothing follows the system.
}

// Files of each part of the program, filled in by `cargo xtask web`; asked for now, they come along with the program.
const PARTS = {};
const PART_OF = { explore: "explore", trace: "trace", logs: "logs", metric: "metrics", cardinality: "metrics" };
const page = location.pathname.split("/")[1];
function preload(what) {
  document.head.append(Object.assign(document.createElement("link"), { rel: "preload", ...what }));
}
for (const file of PARTS[PART_OF[page] ?? "services"] ?? []) {
  preload({ as: "fetch", type: "application/wasm", crossOrigin: "anonymous", href: "/" + file });
}
// What draws lines, where the page will ask for it (`component/plot.rs`).
if (["service", "metric", "cardinality"].includes(page)) preload({ as: "script", href: "/vendor/uplot/uPlot.iife.min.js" });

import("/web.js")
  .then(({ default: start }) => start({ module_or_path: "/web_bg.wasm" }))
  .catch((error) => {
    // Leaving by a control-flow exception is how wasm-bindgen's main may end; everything else is a defect.
    console.error(error);
    const boot = document.querySelector("#boot .skeleton");
    if (boot) {
      boot.className = "notice error";
      boot.textContent = "The interface could not be started: " + error + ". Reload the page.";
    }
  });
