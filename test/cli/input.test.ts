import { Buffer } from "node:buffer";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type InputOptions, readInput } from "../../src/cli/input.ts";
import { UsageError } from "../../src/usage-error.ts";

const directory = mkdtempSync(join(tmpdir(), "fairlead-input-"));
afterAll(() => rmSync(directory, { recursive: true }));

function service(name: string): string {
  return `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\n`;
}

function write(name: string, content: string | Buffer): string {
  writeFileSync(join(directory, name), content);
  return name;
}

function read(filenames: readonly string[], options: Partial<InputOptions> = {}) {
  return readInput({ filenames, recursive: false, baseDirectory: directory, ...options });
}

/** `name file:line` of each object. */
function places(filenames: readonly string[], options: Partial<InputOptions> = {}): readonly string[] {
  return read(filenames, options).map(({ object, file, line }) => `${object.metadata?.name} ${file}:${line}`);
}

/** Each level holds ten times the one below. */
function bomb(prefix: string): string {
  const levels = ["a", "b", "c", "d", "e", "f", "g", "h"];
  return levels
    .map((name, index) => {
      const below = index === 0 ? "x" : `*${levels[index - 1]}`;
      return `${prefix.replace("NAME", name)}&${name} [${Array.from({ length: 10 }, () => below).join(", ")}]\n`;
    })
    .join("");
}

const REFUSED: Readonly<Record<string, readonly [content: string | Buffer, message: RegExp]>> = {
  "an unclosed list": ["a: [\n", /^f\.yaml:2: Flow sequence/],
  "a tab as indentation": ["a:\n\tb: c\n", /^f\.yaml:2: /],
  "a second document that is broken": [`${service("a")}---\nkind: {\n`, /^f\.yaml:[56]: /],
  "a second document that is no object": [
    `${service("a")}---\nhello\n`,
    /^f\.yaml:5: Found the string "hello", wanted a Kubernetes object$/,
  ],
  "a number": ["7\n", /^f\.yaml:1: Found the number 7, wanted a Kubernetes object$/],
  "a list": ["# comment\n- a\n", /^f\.yaml:2: Found a list, wanted a Kubernetes object$/],
  "a key twice": [`${service("a")}kind: Service\n`, /^f\.yaml:4: Map keys must be unique/],
  "an annotation twice": [
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    a: b\n    a: c\n",
    /^f\.yaml:7: Map keys must be unique/,
  ],
  "an alias bomb": [service("a") + bomb("NAME: "), /^f\.yaml:1: Excessive alias count/],
  "an alias to nothing": [`${service("a")}spec: *nothing\n`, /^f\.yaml:1: Unresolved alias/],
  "NUL bytes": [Buffer.from("a: b\nc\0d"), /^f\.yaml:2: Not a text file/],
  "UTF-16": [Buffer.from(`\ufeff${service("a")}`, "utf16le"), /^f\.yaml:1: Not a text file/],
  "bytes that are no UTF-8": [Buffer.from([0x61, 0xff, 0xfe]), /^f\.yaml:1: Not a text file/],
  "no apiVersion": ["kind: Service\nmetadata: {name: a}\n", /^f\.yaml:1: Field apiVersion is missing or not a string$/],
  "an empty kind": ['apiVersion: v1\nkind: ""\n', /^f\.yaml:1: Field kind is missing or not a string$/],
  "a kind that is a number": ["apiVersion: v1\nkind: 1\n", /^f\.yaml:1: Field kind is missing or not a string$/],
  "metadata that is a list": [
    "apiVersion: v1\nkind: Service\nmetadata: []\n",
    /^f\.yaml:1: Found a list as metadata, wanted a map$/,
  ],
  "a name that is a number": [
    "apiVersion: v1\nkind: Service\nmetadata: {name: 1}\n",
    /^f\.yaml:1: Found the number 1 as metadata\.name, wanted a string$/,
  ],
  "an annotation that is a number": [
    "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {retry.linkerd.io/limit: 3}}\n",
    /^f\.yaml:1: Found the number 3 as metadata\.annotations\["retry\.linkerd\.io\/limit"\], wanted a string; write "3" in quotes$/,
  ],
  "a label that is null": [
    "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {x: }}\n",
    /metadata\.labels\["x"\], wanted a string/,
  ],
  "annotations that are a list": [
    "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: [x]}\n",
    /Found a list as metadata\.annotations, wanted a map$/,
  ],
  "an item of a List that is no object": [
    "apiVersion: v1\nkind: List\nitems: [1]\n",
    /^f\.yaml:1: Found the number 1, wanted a Kubernetes object$/,
  ],
  "broken JSON": ['{"apiVersion": "v1", "kind": }', /^f\.yaml:1: /],
  "endless nesting": [`{"apiVersion":"v1","kind":"A","a":${"[".repeat(20_000)}${"]".repeat(20_000)}}`, /^f\.yaml:1: /],
};

test.each(Object.entries(REFUSED))("%s is refused with file and line", (_, [content, message]) => {
  write("f.yaml", content);
  expect(() => read(["f.yaml"])).toThrow(UsageError);
  expect(() => read(["f.yaml"])).toThrow(message);
});

describe("what is read", () => {
  const CASES: Readonly<Record<string, readonly [content: string, places: readonly string[]]>> = {
    "several documents, with their lines": [`${service("a")}---\n${service("b")}`, ["a f.yaml:1", "b f.yaml:5"]],
    "empty documents are skipped": [
      `---\n---\n# nothing\n---\nnull\n---\n~\n---\n${service("a")}---\n`,
      ["a f.yaml:9"],
    ],
    JSON: [JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name: "a" } }), ["a f.yaml:1"]],
    "a byte order mark": [`\ufeff${service("a")}`, ["a f.yaml:1"]],
    "Windows line ends": [`${service("a")}---\n${service("b")}`.replaceAll("\n", "\r\n"), ["a f.yaml:1", "b f.yaml:5"]],
    "a v1 List": [
      `apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\n- {apiVersion: v1, kind: Service, metadata: {name: b}}\n`,
      ["a f.yaml:4", "b f.yaml:5"],
    ],
    "a List in a List": [
      `apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ServiceList, items: [{apiVersion: v1, kind: Service, metadata: {name: a}}]}\n`,
      ["a f.yaml:4"],
    ],
    "a kind that only ends in List": ["apiVersion: a/v1\nkind: AllowList\nmetadata: {name: a}\n", ["a f.yaml:1"]],
    "no metadata": ["apiVersion: v1\nkind: Service\n", ["undefined f.yaml:1"]],
    "merge keys": ["apiVersion: v1\nkind: Service\nmetadata: &m {name: a}\nspec: {<<: *m}\n", ["a f.yaml:1"]],
  };
  test.each(Object.entries(CASES))("%s", (_, [content, expected]) => {
    write("f.yaml", content);
    expect(places(["f.yaml"])).toEqual(expected);
  });

  test("a __proto__ key stays an ordinary key", () => {
    write("f.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {__proto__: x}}\n");
    expect(Object.keys(read(["f.yaml"])[0]?.object.metadata?.annotations ?? {})).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });
});

describe("files and directories", () => {
  const tree = join(directory, "tree");
  mkdirSync(join(tree, "sub.yaml"), { recursive: true });
  for (const name of ["b.yaml", "a.yml", "c.json", "d.txt", "e.yaml.bak", "sub.yaml/f.yaml"])
    writeFileSync(join(tree, name), service("x"));

  test("a directory gives its yaml, yml and json files in the order of names, without subdirectories", () => {
    expect(places(["tree"])).toEqual(["x tree/a.yml:1", "x tree/b.yaml:1", "x tree/c.json:1"]);
  });

  test("-R reads subdirectories too", () => {
    expect(places(["tree"], { recursive: true })).toEqual([
      "x tree/a.yml:1",
      "x tree/b.yaml:1",
      "x tree/c.json:1",
      "x tree/sub.yaml/f.yaml:1",
    ]);
  });

  test("a file that is named is read whatever its ending; files come in the order given", () => {
    expect(places(["tree/d.txt", "tree/b.yaml"])).toEqual(["x tree/d.txt:1", "x tree/b.yaml:1"]);
  });

  test("absolute paths and relative ones", () => {
    expect(places([join(tree, "b.yaml")])).toEqual([`x ${join(tree, "b.yaml")}:1`]);
    expect(places(["b.yaml"], { baseDirectory: tree })).toEqual(["x b.yaml:1"]);
  });

  test("what does not exist is named", () => {
    expect(() => read(["nothing.yaml"])).toThrow(/^Cannot read nothing\.yaml: ENOENT/);
  });

  test("no object at all is refused", () => {
    mkdirSync(join(directory, "bare"), { recursive: true });
    write("empty.yaml", "---\n# nothing\n");
    expect(() => read(["bare", "empty.yaml"])).toThrow(
      "No object found in bare, empty.yaml; give at least one Kubernetes object",
    );
  });
});

/** Known bugs: each goes red when it is mended, and then loses its `fails`. */
describe("to be mended in src/cli/input.ts", () => {
  test("an alias bomb at the top of a list is a usage error", () => {
    write("f.yaml", bomb("- "));
    expect(() => read(["f.yaml"])).toThrow(UsageError);
  });

  test("bytes that are no UTF-8 are found in their line", () => {
    write("f.yaml", Buffer.concat([Buffer.from("a: b\nc: "), Buffer.from([0xff])]));
    expect(() => read(["f.yaml"])).toThrow(/^f\.yaml:2: /);
  });

  test("a link to a file in a directory is read, as kubectl does (ConfigMap volumes are links)", () => {
    mkdirSync(join(directory, "links"), { recursive: true });
    write("target.yaml", service("a"));
    symlinkSync("../target.yaml", join(directory, "links/a.yaml"));
    expect(places(["links"])).toEqual(["a links/a.yaml:1"]);
  });

  test("null names and namespaces are absent, as for the API server", () => {
    write("f.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: null, generateName: null}\n");
    expect(places(["f.yaml"])).toEqual(["a f.yaml:1"]);
  });

  test("a List without items is empty, no object of its own", () => {
    write("f.yaml", `apiVersion: v1\nkind: List\n---\napiVersion: v1\nkind: List\nitems: null\n---\n${service("a")}`);
    expect(places(["f.yaml"])).toEqual(["a f.yaml:8"]);
  });

  test("yes, no, on and off are booleans, as for kubectl (YAML 1.1)", () => {
    write("f.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {x: on}}\n");
    expect(() => read(["f.yaml"])).toThrow(UsageError);
  });
});
