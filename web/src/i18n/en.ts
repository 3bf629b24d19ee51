/** The page in English; the other catalogues have the same keys. */

import type { Text } from "./messages";

export const en = {
  "app.skip": "Skip to the content",
  "app.notFound": "There is nothing at this address",
  "app.notFoundHint": "It may have been deleted, or the address has a mistake.",
  "app.toVideos": "To your videos",
  "theme.label": "Appearance",
  "theme.auto": "As the system",
  "theme.light": "Light",
  "theme.dark": "Dark",
} as const satisfies Record<string, Text>;
