// Sets the theme that was chosen before the first paint, then starts the interface.
// Lives here because it decides how the very first frame looks, and because the page's policy forbids inline scripts.
try {
  const theme = localStorage.getItem("spanlight.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // A browser that keeps nothing follows the system.
}

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
