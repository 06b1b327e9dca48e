// Where the dashboard was loaded from tells where everything is, whatever path a proxy has put in front.

/** The folder of the page, such as `https://jobs.example.com/baton/dashboard/`. Scripts lie one folder below. */
const pageUrl = import.meta.env.DEV
  ? new URL('/dashboard/', location.href)
  : new URL(/* @vite-ignore */ '../', import.meta.url);

/** The path that all screens are under, without a slash at the end. */
export const basePath = pageUrl.pathname.replace(/\/$/, '');

/** The address of the API, with a slash at the end. */
export const apiUrl = new URL('../', pageUrl).href;
