/** What a catalogue is made of: texts with `{names}` in braces, in two forms where a number decides. */

import type { en } from "./en";

export type Text = string | { readonly one: string; readonly other: string };
export type Key = keyof typeof en;
export type Catalogue = Record<Key, Text>;
export type Values = Record<string, string | number>;

type Names<T extends string> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;
type NamesIn<T> = T extends string
  ? Names<T>
  : T extends { other: infer Other extends string }
    ? Names<Other>
    : never;
/** The values that a text asks for: none, or one for each of its names. */
export type ValuesOf<K extends Key> = [NamesIn<(typeof en)[K]>] extends [never]
  ? []
  : [values: Record<NamesIn<(typeof en)[K]>, string | number>];

export const placeholder = /\{(\w+)\}/g;

export function namesIn(text: Text): string[] {
  const forms = typeof text === "string" ? [text] : [text.one, text.other];
  return [
    ...new Set(forms.flatMap((form) => [...form.matchAll(placeholder)].map((match) => match[1] ?? ""))),
  ].sort();
}

/** The text with its values; of two forms the one that `n` calls for in that language. */
export function fill(text: Text, values: Values, locale: string): string {
  let form: string;
  if (typeof text === "string") form = text;
  else form = new Intl.PluralRules(locale).select(Number(values.n)) === "one" ? text.one : text.other;
  const numbers = new Intl.NumberFormat(locale);
  return form.replace(placeholder, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? numbers.format(value) : value;
  });
}
