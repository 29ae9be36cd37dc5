import { expect, test } from "vitest";
import {
  excludedNamespaces,
  parseMesh,
  parseMeshVersion,
  parseMode,
  parsePort,
  parseRuleLimits,
  parseUrl,
} from "../../src/config.ts";
import { SERVE_LIMITS } from "../../src/core/rules/limits.ts";
import { UsageError } from "../../src/usage-error.ts";

test.each([
  ["linkerd", "Linkerd"],
  ["LINKERD", "Linkerd"],
  ["Istio", "Istio"],
])("parseMesh(%s) is %s", (text, mesh) => {
  expect(parseMesh(text)).toBe(mesh);
});

function limits(rule: string, request: string) {
  return parseRuleLimits({ rule, request });
}

test.each([
  [() => parseMesh("consul"), "Found --mesh consul, wanted Linkerd or Istio"],
  [() => parseMesh(""), "Found --mesh , wanted Linkerd or Istio"],
  [() => parseMode("Enforce"), "Found --mode Enforce, wanted enforce, warn, audit"],
  [() => parseMode("constructor"), "Found --mode constructor, wanted enforce, warn, audit"],
  [
    () => parseMeshVersion("2.13"),
    "Found --mesh-version 2.13, wanted a version of Linkerd from 2.14 on, of Istio from 1.20 on, or both: 2.18,1.24",
  ],
  [
    () => parseMeshVersion("1.19"),
    "Found --mesh-version 1.19, wanted a version of Linkerd from 2.14 on, of Istio from 1.20 on, or both: 2.18,1.24",
  ],
  [
    () => parseMeshVersion("1.20,1.24"),
    "Found --mesh-version 1.20,1.24, wanted a version of Linkerd from 2.14 on, of Istio from 1.20 on, or both: 2.18,1.24",
  ],
  [
    () => parseMeshVersion("latest"),
    "Found --mesh-version latest, wanted a version of Linkerd from 2.14 on, of Istio from 1.20 on, or both: 2.18,1.24",
  ],
  [() => parsePort("65536"), "Found the port 65536, wanted a number from 0 to 65535"],
  [() => parsePort("-1"), "Found the port -1, wanted a number from 0 to 65535"],
  [() => parsePort(""), "Found the port , wanted a number from 0 to 65535"],
  [() => parsePort("8443x"), "Found the port 8443x, wanted a number from 0 to 65535"],
  [() => limits("0", "9"), "Found --rule-cost-limit 0, wanted a whole number from 1 to 10000000"],
  [() => limits("1e3", "9000"), "Found --rule-cost-limit 1e3, wanted a whole number from 1 to 10000000"],
  [() => limits("10000001", "9"), "Found --rule-cost-limit 10000001, wanted a whole number from 1 to 10000000"],
  [() => limits("9", "-1"), "Found --request-cost-limit -1, wanted a whole number from 1 to 100000000"],
  [() => limits("9", "8"), "Found --request-cost-limit 8, wanted at least --rule-cost-limit, 9"],
  [() => parseUrl("http://a:1"), "Found --url http://a:1, wanted https://HOST:PORT without a path"],
  [() => parseUrl("https://a:1/path"), "Found --url https://a:1/path, wanted https://HOST:PORT without a path"],
  [() => parseUrl("a:1"), "Found --url a:1, wanted https://HOST:PORT without a path"],
])("%s is refused: %s", (parse, message) => {
  expect(parse).toThrow(new UsageError(message));
});

test("what is accepted", () => {
  expect(parseMode("audit")).toBe("audit");
  expect(parseMeshVersion()).toMatchObject({ linkerd: { minor: 20 }, istio: { minor: 31 } });
  expect(parseMeshVersion("edge-24.8.2")).toMatchObject({ linkerd: { minor: 16 }, istio: { minor: 31 } });
  expect(parseMeshVersion("1.24.3")).toMatchObject({ linkerd: { minor: 20 }, istio: { minor: 24 } });
  expect(parseMeshVersion("v1.20, 2.18")).toMatchObject({ linkerd: { minor: 18 }, istio: { minor: 20 } });
  expect(parseMeshVersion("1.99")).toMatchObject({ istio: { minor: 31 } });
  expect(limits("80000", "150000")).toEqual(SERVE_LIMITS);
  expect(limits("10000000", "10000000")).toEqual({ expression: 1_000_000, rule: 10_000_000, request: 10_000_000 });
  expect(parsePort("0")).toBe(0);
  expect(parseUrl("https://127.0.0.1:8443")).toBe("https://127.0.0.1:8443");
});

test("the excluded namespaces are those of docs/policy.md and our own", () => {
  expect([...excludedNamespaces("own")].sort()).toEqual([
    "istio-system",
    "kube-node-lease",
    "kube-system",
    "linkerd",
    "own",
  ]);
});
