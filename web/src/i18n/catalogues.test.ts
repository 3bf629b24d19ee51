import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { en } from "./en";
import { namesIn, placeholder } from "./messages";
import type { Key, Text } from "./messages";
import { ptBR } from "./pt-BR";

const english: Record<Key, Text> = en;
const keys = Object.keys(english) as Key[];

function sources(folder: string): string {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(svelte|ts)$/.test(entry.name))
    .filter((entry) => !/(en|pt-BR|schema|\.test)\.ts$/.test(entry.name))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"))
    .join("\n");
}

test("both languages have the same texts", () => {
  expect(Object.keys(ptBR).sort()).toEqual([...keys].sort());
});

test("each text asks for the same values in both languages", () => {
  const different = keys.filter((key) => String(namesIn(english[key])) !== String(namesIn(ptBR[key])));
  expect(different).toEqual([]);
});

test("no text is empty, and none was left in English", () => {
  const forms = (text: Text) => (typeof text === "string" ? [text] : [text.one, text.other]);
  const words = (text: Text) => forms(text).map((form) => form.replaceAll(placeholder, ""));
  expect(keys.filter((key) => words(ptBR[key]).some((text) => text.trim() === ""))).toEqual([]);
  // What is long enough to be a sentence is not the same by chance.
  const same = keys.filter(
    (key) =>
      words(english[key]).join().length > 24 && String(words(english[key])) === String(words(ptBR[key])),
  );
  expect(same).toEqual([]);
});

test("each text is used", () => {
  const code = sources(join(import.meta.dirname, ".."));
  // Families are looked up by a name that comes from elsewhere: t(`mode.${mode}`), find("problem", code).
  const families = [
    ...[...code.matchAll(/`([\w.-]+\.)\$\{/g)].map((match) => match[1] ?? ""),
    ...[...code.matchAll(/find\("([\w.-]+)"/g)].map((match) => `${match[1] ?? ""}.`),
  ];
  const unused = keys.filter(
    (key) => !code.includes(`"${key}"`) && !families.some((family) => key.startsWith(family)),
  );
  expect(unused).toEqual([]);
});

const project = join(import.meta.dirname, "../../..");

test("all that the API refuses, and that a video can come to, has words", () => {
  // Of what the page does not do: webhooks, imports, direct uploads, keys, and forms with files.
  const ofPrograms =
    /WEBHOOK|ADDRESS_REFUSED|DELIVERY_|DIRECT_|FIELD_REPEATED|FORM_TOO_LARGE|IMPORTS_OFF|NO_FILE|SCOPE_MISSING|_INCOMPLETE/;
  const [ofVideos = "", ofRequests = ""] = readFileSync(join(project, "docs/errors.md"), "utf8").split(
    "## What the API refuses",
  );
  const outcomes = [...ofVideos.matchAll(/^\| `(\w+)` \| `(\w+)`/gm)].map(
    ([, code, cause]) => `${cause === "WARNING" ? "warning" : "failure"}.${code ?? ""}`,
  );
  const refusals = [...ofRequests.matchAll(/^\| `(\w+)`/gm)].map(([, code]) => `problem.${code ?? ""}`);
  expect(outcomes.length).toBeGreaterThan(20);
  expect(refusals.length).toBeGreaterThan(50);

  expect([...outcomes, ...refusals].filter((key) => !(key in english) && !ofPrograms.test(key))).toEqual([]);
});

test("each act of the audit log has words", () => {
  const [, acts = ""] =
    /Action = Literal\[(.*?)\]/s.exec(readFileSync(join(project, "app/audit.py"), "utf8")) ?? [];
  const keys = [...acts.matchAll(/"(\w+)"/g)].map(([, act]) => `act.${act ?? ""}`);
  expect(keys.length).toBeGreaterThan(15);

  expect(keys.filter((key) => !(key in english))).toEqual([]);
});
