// Runs before the first paint: a page that is dark by choice must not begin white.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem('livelog-theme');
  } catch {
    // Without storage the browser's own preference holds.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
