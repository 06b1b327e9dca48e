// Before anything is painted, so that a page in the dark does not flash white. A file of its own, because the policy of
// the page runs no script that stands in it.
(function () {
  let chosen = 'auto';
  try {
    chosen = localStorage.getItem('mantine-color-scheme-value') || 'auto';
  } catch (_) {
    // Storage may be forbidden; the system's choice holds then.
  }
  const isDark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', isDark ? 'dark' : 'light');
})();
