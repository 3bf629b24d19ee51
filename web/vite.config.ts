import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { compress } from "./compress.ts";

const api = process.env.FOTOGRAMA_API ?? "http://localhost:8000";
const apiPaths =
  "auth users videos uploads extractions events files webhooks admin health metrics docs openapi.json".split(
    " ",
  );
// A browser that opens one of these wants the page; a script that asks for the same path wants the API.
const pagePaths = /^\/(videos\/[0-9a-f-]{36}|extractions\/[0-9a-f-]{36}|admin)\/?$/;

export default defineConfig({
  plugins: [svelte(), compress()],
  // The API puts the path that it is served below in front of what the index loads.
  base: "./",
  build: {
    assetsDir: "assets",
    // An inlined asset is a data: URL, which the page's CSP does not let in.
    assetsInlineLimit: 0,
    target: "es2022",
    // The polyfill is an inline concern of browsers that don't know <link rel="modulepreload">; ours all do.
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: Object.fromEntries(
      apiPaths.map((path) => [
        `/${path}`,
        {
          target: api,
          bypass: (request) => {
            const wantsPage = request.headers.accept?.includes("text/html") ?? false;
            const pathname = (request.url ?? "/").replace(/\?.*/, "");
            return wantsPage && pagePaths.test(pathname) ? "/index.html" : undefined;
          },
        },
      ]),
    ),
  },
  test: { include: ["src/**/*.test.ts"] },
});
