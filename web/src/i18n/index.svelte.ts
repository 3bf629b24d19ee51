/** The page's words in the reader's language. */

import { fill, placeholder } from "./messages";
import type { Catalogue, Key, Values, ValuesOf } from "./messages";

export const locales = ["en", "pt-BR"] as const;
export type Locale = (typeof locales)[number];

const catalogues: Record<Locale, () => Promise<Catalogue>> = {
  en: async () => (await import("./en")).en,
  "pt-BR": async () => (await import("./pt-BR")).ptBR,
};
const kept = "fotograma.locale";

export function localeOf(languages: readonly string[]): Locale {
  for (const language of languages) {
    if (language.toLowerCase().startsWith("pt")) return "pt-BR";
    if (language.toLowerCase().startsWith("en")) return "en";
  }
  return "en";
}

class Language {
  locale = $state<Locale>("en");
  /** That of the account; without one, the browser's. */
  timeZone = $state<string>();
  words = $state.raw({} as Catalogue);

  /** Before anything is shown: what was chosen last time, or what the browser prefers. */
  async start() {
    const last = locales.find((locale) => locale === localStorage.getItem(kept));
    await this.load(last ?? localeOf(navigator.languages));
  }

  async choose(locale: Locale) {
    localStorage.setItem(kept, locale);
    await this.load(locale);
  }

  private async load(locale: Locale) {
    this.words = await catalogues[locale]();
    this.locale = locale;
    document.documentElement.lang = locale;
  }
}

export const language = new Language();

export function t<K extends Key>(key: K, ...[values]: ValuesOf<K>): string {
  return fill(language.words[key], (values ?? {}) as Values, language.locale);
}

/** The text of a key made of two parts, such as a code that the API has sent, if there is one. */
export function find(family: string, name: string): string | undefined {
  const text = language.words[`${family}.${name}` as Key];
  return text === undefined ? undefined : fill(text, {}, language.locale);
}

export type Piece = { text: string } | { name: string };

/** A sentence in pieces, for those whose values are controls and not words. */
export function pieces(key: Key): Piece[] {
  const text = language.words[key];
  const sentence = typeof text === "string" ? text : text.other;
  return sentence
    .split(placeholder)
    .map((part, place) => (place % 2 ? { name: part } : { text: part }))
    .filter((piece) => !("text" in piece) || piece.text !== "");
}
