import { join } from "node:path";
import { expect, test } from "vitest";
import { readInput } from "../../src/cli/input.ts";
import { locate, OUTPUT_FORMATS, type OutputFormat, render } from "../../src/cli/output.ts";
import { reviewObjects } from "../../src/cli/review.ts";
import { DEFAULTS, NOW_MS } from "../core/worlds.ts";

const GOLDEN = join(import.meta.dirname, "../golden/review");

function rendered(name: string, format: OutputFormat, colour = false): string {
  const input = readInput({ filenames: ["input.yaml"], recursive: false, baseDirectory: join(GOLDEN, name) });
  const reviews = reviewObjects(
    input.map((item) => item.object),
    DEFAULTS,
    NOW_MS,
  );
  return render(locate(reviews, input), format, colour);
}

test("table: one row an object, then what is written, warned about or refused, then the sum", () => {
  expect(rendered("mode-enforce-refuses", "table").split("\n")).toEqual([
    "KIND              NAMESPACE  NAME          VERDICT",
    "ResiliencePolicy  iam        user-service  allowed",
    "Service           iam        user-service  denied",
    "  Service iam/user-service cannot be accepted, 1 problem:",
    '  - retry.linkerd.io/http: Found item " 429" in "5xx, 429", wanted 5xx, gateway-error, 100 to 599 or a range like 500-504, without spaces; Linkerd would drop every HTTP retry setting of this Service (FL401)',
    '    fix: write "5xx,429"',
    "",
    "2 reviewed, 1 denied",
    "",
  ]);
  const patched = rendered("override-enabled-false-removes-the-breaker", "table");
  expect(patched).toContain("allowed, patched");
  expect(patched).toContain("  remove /metadata/annotations/balancer.linkerd.io~1failure-accrual\n");
  expect(patched).toContain("  Warning: FL504 ");
});

test("colour changes nothing but the colour", () => {
  const coloured = rendered("mode-enforce-refuses", "table", true);
  // oxlint-disable-next-line no-control-regex
  expect(coloured.replaceAll(/\u001b\[\d+m/g, "")).toBe(rendered("mode-enforce-refuses", "table"));
  expect(coloured).not.toBe(rendered("mode-enforce-refuses", "table"));
});

test("junit: a test case an object, a failure a denial, everything escaped", () => {
  const xml = rendered("by-hand-every-group-dropped", "junit");
  expect(xml).toContain('<testsuite name="fairlead review" tests="1" failures="1">');
  expect(xml).toContain("Found item &quot; 429&quot; in &quot;5xx, 429&quot;");
  expect(xml).toMatch(/\n\ninput\.yaml:\d+: metadata\.annotations\[&quot;balancer\.linkerd\.io\/failure-accrual/);
  expect(rendered("mode-warn-injects-and-warns", "junit")).toContain("<system-out>FL401 would be refused");
});

test("sarif: a result a finding, at the line of its field, an error only where it denies", () => {
  const results = (name: string) =>
    JSON.parse(rendered(name, "sarif")).runs[0].results as {
      ruleId: string;
      level: string;
      locations: { physicalLocation: { region: { startLine: number } } }[];
    }[];
  expect(results("mode-enforce-refuses").map(({ ruleId, level }) => `${ruleId} ${level}`)).toEqual(["FL401 error"]);
  expect(results("mode-warn-injects-and-warns").map(({ ruleId, level }) => `${ruleId} ${level}`)).toEqual([
    "FL401 warning",
    "FL402 warning",
  ]);
  expect(results("mode-enforce-refuses")[0]?.locations[0]?.physicalLocation.region.startLine).toBe(23);
});

test.each(OUTPUT_FORMATS)("%s: the same input gives the same text", (format) => {
  expect(rendered("service-gets-everything", format)).toBe(rendered("service-gets-everything", format));
});
