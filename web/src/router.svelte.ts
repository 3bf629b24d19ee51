/** Which screen the address names. Addresses are plain paths, so that each can be kept, shared and opened anew. */

import { at, within } from "./prefix";

export type Route =
  | { screen: "history" | "sign-in" | "sign-up" | "reset-password" | "confirm-email" | "settings" | "admin" }
  | { screen: "video" | "extraction"; id: string }
  | { screen: "not-found" };

const plain = {
  "/": "history",
  "/sign-in": "sign-in",
  "/sign-up": "sign-up",
  "/reset-password": "reset-password",
  "/confirm-email": "confirm-email",
  "/settings": "settings",
  "/admin": "admin",
} as const;
const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const withId = new RegExp(`^/(videos|extractions)/(${uuid})$`);

export function routeOf(path: string): Route {
  const trimmed = path.length > 1 ? path.replace(/\/+$/, "") : path;
  if (trimmed in plain) return { screen: plain[trimmed as keyof typeof plain] };
  const match = withId.exec(trimmed);
  if (match?.[2]) return { screen: match[1] === "videos" ? "video" : "extraction", id: match[2] };
  return { screen: "not-found" };
}

class Router {
  path = $state(within(location.pathname));
  query = $state(new URLSearchParams(location.search));
  route = $derived(routeOf(this.path));

  start() {
    addEventListener("popstate", () => this.read());
    // A mailed link that is opened where the page is open already: its screen reads it at its beginning.
    addEventListener("hashchange", () => {
      if (location.hash.includes("=")) location.reload();
    });
    document.addEventListener("click", (event) => this.follow(event));
  }

  go(path: string, { replace = false } = {}) {
    history[replace ? "replaceState" : "pushState"](null, "", at(path));
    this.read();
    if (!replace) scrollTo(0, 0);
  }

  private read() {
    this.path = within(location.pathname);
    this.query = new URLSearchParams(location.search);
  }

  private follow(event: MouseEvent) {
    const link = (event.target as Element).closest("a");
    const isPlainClick =
      event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlainClick || event.defaultPrevented || link.target || link.hasAttribute("download"))
      return;
    if (link.origin !== location.origin || routeOf(within(link.pathname)).screen === "not-found") return;
    event.preventDefault();
    if (link.href !== location.href) this.go(within(link.pathname) + link.search + link.hash);
  }
}

export const router = new Router();
