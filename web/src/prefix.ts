/** Where the page lies: mostly `/`, or a path of another site, which the place of its own code tells. */

// Not in one expression: the build would look for a file of that name.
const here = import.meta.url;
const root = new URL("..", here).pathname;

/** The address of `/settings`, say, as the browser knows it. */
export const at = (path: string) => root + path.slice(1);

/** The other way: what the browser's address is within the page. */
export const within = (pathname: string) =>
  pathname.startsWith(root) ? pathname.slice(root.length - 1) : pathname;

/** What the API's addresses begin with. */
export const site = () => location.origin + root.slice(0, -1);
