import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { lineDiff } from "../../src/cli/line-diff.ts";
import { renderTest } from "../../src/cli/output-test.ts";
import { type CaseResult, runTests } from "../../src/cli/test.ts";
import { UsageError } from "../../src/usage-error.ts";

const directory = mkdtempSync(join(tmpdir(), "fairlead-suite-"));
afterAll(() => rmSync(directory, { recursive: true }));

beforeEach(() => {
  rmSync(join(directory, "t"), { recursive: true, force: true });
  write("shop.yaml", NAMESPACE);
  write("orders.yaml", POLICY);
});

function write(name: string, content: string): void {
  const file = join(directory, "t", name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

const NAMESPACE =
  "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {fairlead.dev/mode: enforce}, annotations: {linkerd.io/inject: enabled}}\n";
const POLICY = `apiVersion: fairlead.dev/v1alpha1
kind: ResiliencePolicy
metadata: {name: orders, namespace: shop}
spec: {targetRefs: [{kind: Service, name: orders}], timeout: {request: 2s}}
`;

function service(name: string, annotations = "{}", namespace = "shop"): string {
  return `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: ${namespace}, annotations: ${annotations}}, spec: {ports: [{port: 80}]}}`;
}

const DROPPED = '{retry.linkerd.io/http: "5xx, 429"}';
const HEAD = "apiVersion: cli.fairlead.dev/v1alpha1\nkind: Test\n";
const WORLD = `${HEAD}name: orders\nworld: [shop.yaml, orders.yaml]\n`;

/** A suite with one case. */
function single(body: string): string {
  return `${WORLD}cases:\n- name: the case\n${body.replaceAll(/^/gm, "  ")}\n`;
}

function run(content: string): readonly CaseResult[] {
  write("fairlead-test.yaml", content);
  return runTests(["t"], directory);
}

/** Field by field what is not as expected in the only case. */
function misses(body: string): Readonly<Record<string, unknown>> {
  const [result] = run(single(body));
  return Object.fromEntries((result?.misses ?? []).map(({ field, found }) => [field, found]));
}

describe("a case", () => {
  test.each([
    ["a refusal", `object: ${service("web", DROPPED)}`, "{allowed: false}"],
    ["a part of its text", `object: ${service("web", DROPPED)}`, "{allowed: false, message: 'fix: write \"5xx,429\"'}"],
    [
      "what is stored, in part",
      `object: ${service("orders")}`,
      "{allowed: true, stored: {metadata: {labels: {fairlead.dev/revision: 6a5286e167a9}}}}",
    ],
    ["no warning", `object: ${service("orders")}`, "{allowed: true, warnings: []}"],
    ["the patch", `object: ${service("web")}`, "{allowed: true, patch: []}"],
    [
      "warnings, in part",
      `mode: warn\nobject: ${service("web", DROPPED, "other")}`,
      "{allowed: true, warnings: [would be refused]}",
    ],
    [
      "a finding, in part",
      `object: ${service("web", DROPPED)}`,
      "{allowed: false, findings: [{code: FL401, message: 5xx}]}",
    ],
    ["a file with the object", "object: web.yaml", "{allowed: false}"],
  ])("may expect %s", (_, body, expectation) => {
    write("web.yaml", service("web", DROPPED));
    expect(misses(`${body}\nexpect: ${expectation}`)).toEqual({});
  });

  test("fails for another verdict, and shows the text of the refusal", () => {
    const found = misses(`object: ${service("web", DROPPED)}\nexpect: {allowed: true}`);
    expect(found).toEqual({ allowed: false, message: expect.stringContaining("Service shop/web cannot be accepted") });
  });

  test.each([
    ["message", `object: ${service("web", DROPPED)}`, "{allowed: false, message: something else}"],
    ["warnings", `object: ${service("orders")}`, "{allowed: true, warnings: [one]}"],
    ["findings", `object: ${service("web", DROPPED)}`, "{allowed: false, findings: []}"],
    ["findings", `object: ${service("web", DROPPED)}`, "{allowed: false, findings: [{code: FL401, severity: warn}]}"],
    ["patch", `object: ${service("orders")}`, "{allowed: true, patch: []}"],
    ["stored", `object: ${service("orders")}`, "{allowed: true, stored: {metadata: {annotations: {a: b}}}}"],
  ])("fails for another %s: %#", (field, body, expectation) => {
    expect(Object.keys(misses(`${body}\nexpect: ${expectation}`))).toEqual([field]);
  });

  test("with oldObject is an update: what was there before is tolerated", () => {
    const before = service("web", DROPPED);
    const untouched = `oldObject: ${before}\nobject: ${before}\nexpect: {allowed: true, warnings: [FL401]}`;
    expect(misses(untouched)).toEqual({});
    const touched = `oldObject: ${service("web")}\nobject: ${before}\nexpect: {allowed: false}`;
    expect(misses(touched)).toEqual({});
  });

  test("with oldObject starts from what Fairlead has injected into it", () => {
    const body = `oldObject: ${service("orders")}\nobject: ${service("orders")}\nexpect: {allowed: true, warnings: []}`;
    expect(misses(body)).toEqual({});
  });
});

describe("rules of a suite", () => {
  const RULE = `apiVersion: fairlead.dev/v1alpha1
kind: AdmissionRule
metadata: {name: few-ports}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: [services]}]}
  params: {most: 1}
  exceptionsAllowed: true
  validations:
  - {expression: "object.spec.ports.size() <= params.most || request.userInfo.username == 'root'", message: too many ports}
`;
  const EXCEPTION = `apiVersion: fairlead.dev/v1alpha1
kind: RuleException
metadata: {name: legacy, namespace: shop}
spec: {rules: [few-ports], objectNames: [web], owner: shop, reason: legacy, expiresAt: "2026-03-01T00:00:00Z"}
`;
  const TWO_PORTS = service("web").replace("[{port: 80}]", "[{name: a, port: 80}, {name: b, port: 81}]");
  const EXPECT_REFUSAL = "expect: {allowed: false, message: 'rule few-ports: too many ports'}";

  beforeEach(() => {
    write("rule.yaml", RULE);
    write("exception.yaml", EXCEPTION);
  });

  function ruled(body: string, world = "[shop.yaml]"): Readonly<Record<string, unknown>> {
    const suite = single(body).replace("world: [shop.yaml, orders.yaml]", `rules: [rule.yaml]\nworld: ${world}`);
    return Object.fromEntries((run(suite)[0]?.misses ?? []).map(({ field, found }) => [field, found]));
  }

  test.each([
    ["refuse", `object: ${TWO_PORTS}`, EXPECT_REFUSAL],
    ["see the user", `user: {username: root}\nobject: ${TWO_PORTS}`, "expect: {allowed: true}"],
    ["may have other params", `params: {few-ports: {most: 2}}\nobject: ${TWO_PORTS}`, "expect: {allowed: true}"],
    [
      "warn in warn mode",
      `mode: warn\nobject: ${TWO_PORTS.replace("shop", "other")}`,
      "expect: {allowed: true, warnings: [too many ports]}",
    ],
  ])("%s", (_, body, expectation) => {
    expect(ruled(`${body}\n${expectation}`)).toEqual({});
  });

  test("are none where nothing of them is evaluated here: every test would pass that expects nothing", () => {
    const policy = RULE.replace("fairlead.dev/v1alpha1", "admissionregistration.k8s.io/v1")
      .replace("AdmissionRule", "ValidatingAdmissionPolicy")
      .replace(/ {2}params:.*\n.*\n/, "")
      .replace(/expression: ".*"/, "expression: \"authorizer.path('/').check('get').allowed()\"");
    write("rule.yaml", policy);
    expect(() => ruled(`object: ${TWO_PORTS}\nexpect: {allowed: true}`)).toThrow(
      /^t\/rule\.yaml:1: Found ValidatingAdmissionPolicy few-ports among rules, of which nothing is evaluated here; /,
    );
  });

  test("are excepted from until the exception ends, by the time of the case", () => {
    const world = "[shop.yaml, exception.yaml]";
    const at = (now: string): string => `now: "${now}"\nobject: ${TWO_PORTS}`;
    expect(ruled(`${at("2026-02-01T00:00:00Z")}\nexpect: {allowed: true, warnings: []}`, world)).toEqual({});
    expect(ruled(`${at("2026-02-28T23:59:59.999Z")}\nexpect: {allowed: true, warnings: [FL726]}`, world)).toEqual({});
    expect(ruled(`${at("2026-03-01T00:00:00Z")}\n${EXPECT_REFUSAL}`, world)).toEqual({});
    expect(() => ruled(`object: ${TWO_PORTS}\n${EXPECT_REFUSAL}`, world)).toThrow(
      /^t\/fairlead-test\.yaml:7: Found no time beside a RuleException, wanted now in the case or the suite$/,
    );
  });

  test("that do not compile are refused with file, line and caret", () => {
    write("rule.yaml", RULE.replace("spec.ports", "spec.prots"));
    expect(() => ruled(`object: ${TWO_PORTS}\n${EXPECT_REFUSAL}`)).toThrow(
      /^t\/rule\.yaml:9: AdmissionRule few-ports: spec\.validations\[0\]\.expression: .*undefined field 'prots'; did you mean ports\?\n \| object.*\n \| \.+\^$/,
    );
  });
});

describe("suites", () => {
  const CASE = `${WORLD}cases:\n- {name: a, object: ${service("orders")}, expect: {allowed: true}}\n`;

  test("are found at any depth, in the order of their names, and several may stand in one file", () => {
    write("b/fairlead-test.yaml", CASE.replace("[shop.yaml, orders.yaml]", "[../shop.yaml, ../orders.yaml]"));
    write("a.fairlead-test.yml", `${CASE}---\n${CASE}`);
    write("node_modules/fairlead-test.yaml", "broken: [");
    write("other-test.yaml", "broken: [");
    const found = runTests(["t"], directory).map(({ file, line }) => `${file}:${line}`);
    expect(found).toEqual(["t/a.fairlead-test.yml:6", "t/a.fairlead-test.yml:13", "t/b/fairlead-test.yaml:6"]);
  });

  test("a file that is named may have any name", () => {
    write("cases.yaml", CASE);
    expect(runTests(["t/cases.yaml"], directory).map(({ misses: found }) => found)).toEqual([[]]);
  });

  test.each([
    [
      "an unknown field",
      `${WORLD}case: []\ncases: []\n`,
      /^t\/fairlead-test\.yaml:5: case: Found the unknown field "case".*did you mean cases\?$/m,
    ],
    ["no case", `${WORLD}cases: []\n`, /^t\/fairlead-test\.yaml:5: cases: Found a list of 0 items, wanted/],
    [
      "another kind",
      POLICY,
      /^t\/fairlead-test\.yaml:1: Found kind ResiliencePolicy of fairlead\.dev\/v1alpha1, wanted kind Test of cli\.fairlead\.dev\/v1alpha1$/,
    ],
    [
      "a misspelt expectation",
      CASE.replace("allowed:", "allow:"),
      /^t\/fairlead-test\.yaml:6: cases\[0\]\.expect\.allow.*/,
    ],
    ["two cases of one name", `${CASE}${CASE.split("\n").slice(-2).join("\n")}`, /:7: Found a second case "a"/],
    [
      "a message of what is allowed",
      CASE.replace("{allowed: true}", "{allowed: true, message: x}"),
      /:6: Found a message of a write that is allowed/,
    ],
    [
      "a patch of what is refused",
      CASE.replace("{allowed: true}", "{allowed: false, patch: [{op: remove}]}"),
      /:6: Found stored or patch/,
    ],
    [
      "a missing file",
      CASE.replace("shop.yaml", "shopp.yaml"),
      /^t\/fairlead-test\.yaml:4: Cannot read t\/shopp\.yaml: ENOENT/,
    ],
    ["a broken file", CASE.replace("shop.yaml", "broken.yaml"), /^t\/fairlead-test\.yaml:4: t\/broken\.yaml:2: /],
    [
      "a file with two objects",
      CASE.replace(service("orders"), "two.yaml"),
      /:6: Found 2 objects in two\.yaml, wanted one/,
    ],
    ["an object that is none", CASE.replace(service("orders"), "{kind: Service}"), /:6: Field apiVersion is missing/],
    ["a version of no mesh", `${CASE}meshVersion: "1.8"\n`, /:7: Found --mesh-version 1\.8/],
    [
      "rules without a rule",
      `${CASE}rules: [shop.yaml]\n`,
      /:7: Found no AdmissionRule and no ValidatingAdmissionPolicy in shop\.yaml/,
    ],
  ])("%s is refused with file and line", (_, content, message) => {
    write("broken.yaml", "a: b\nc: [");
    write("two.yaml", `${NAMESPACE}---\n${NAMESPACE}`);
    expect(() => run(content)).toThrow(UsageError);
    expect(() => run(content)).toThrow(message);
  });

  test("none at all is refused", () => {
    expect(() => runTests(["t"], directory)).toThrow("No test found in t; wanted files named fairlead-test.yaml");
    expect(() => runTests(["nowhere"], directory)).toThrow(/^Cannot read nowhere: ENOENT/);
  });
});

describe("output", () => {
  const results = () =>
    run(`${WORLD}cases:
- {name: is as expected, object: ${service("orders")}, expect: {allowed: true}}
- {name: "is <not>", object: ${service("web", DROPPED)}, expect: {allowed: true}}
- {name: has another timeout, object: ${service("orders")}, expect: {allowed: true, stored: {metadata: {annotations: {timeout.linkerd.io/request: 3s}}}}}
`);

  test("table: a line a case, and what is expected and found where it differs", () => {
    expect(renderTest(results(), "table", false)).toBe(`t/fairlead-test.yaml: orders
  ok    is as expected
  MISS  is <not> (line 7)
        allowed: expected true, found false
        message:
        -
        + Service shop/web cannot be accepted, 1 problem:
        + - retry.linkerd.io/http: Found item " 429" in "5xx, 429", wanted 5xx, gateway-error, 100 to 599 or a range like 500-504, without spaces; Linkerd would drop every HTTP retry setting of this Service (FL401)
        +   fix: write "5xx,429"
  MISS  has another timeout (line 8)
        stored:
          {
            "metadata": {
              "annotations": {
        -       "timeout.linkerd.io/request": "3s"
        +       "timeout.linkerd.io/request": "2000ms"
              }
            }
          }

3 cases, 2 not as expected
`);
  });

  test("json: every case with its misses and everything that was found", () => {
    const printed = JSON.parse(renderTest(results(), "json", false)) as Readonly<Record<string, unknown>>[];
    expect(printed.map(({ file, line, suite, name, ok }) => ({ file, line, suite, name, ok }))).toEqual([
      { file: "t/fairlead-test.yaml", line: 6, suite: "orders", name: "is as expected", ok: true },
      { file: "t/fairlead-test.yaml", line: 7, suite: "orders", name: "is <not>", ok: false },
      { file: "t/fairlead-test.yaml", line: 8, suite: "orders", name: "has another timeout", ok: false },
    ]);
    for (const { found } of printed)
      expect(Object.keys(found as object)).toEqual(["allowed", "message", "warnings", "findings", "patch", "stored"]);
  });

  test("junit: a suite a file, a case a case, everything escaped", () => {
    const xml = renderTest(results(), "junit", false);
    expect(xml).toContain('<testsuite name="orders" file="t/fairlead-test.yaml" tests="3" failures="2">');
    expect(xml).toContain('name="is &lt;not&gt;" file="t/fairlead-test.yaml" line="7"><failure');
  });

  test("colour changes nothing but the colour", () => {
    // oxlint-disable-next-line no-control-regex
    const plain = renderTest(results(), "table", true).replaceAll(/\u001b\[\d+m/g, "");
    expect(plain).toBe(renderTest(results(), "table", false));
  });
});

test.each([
  ["a\nb", "a\nb", ["  a", "  b"]],
  ["a\nb\nc", "b\nc\nd", ["- a", "  b", "  c", "+ d"]],
  ["a", "b", ["- a", "+ b"]],
  ["", "a", ["- ", "+ a"]],
])("the difference of %j and %j", (before, after, lines) => {
  expect(lineDiff(before, after)).toEqual(lines);
});
