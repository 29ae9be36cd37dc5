import { expect, test } from "vitest";
import { auditFields } from "../../src/observe/audit.ts";
import { createLog } from "../../src/observe/log.ts";
import { policyTrace } from "../../src/observe/trace-context.ts";

const SERVICE = { group: "", kind: "Service", namespace: "iam", name: "tokens" };
const TRACE = policyTrace("8a7f2f5e-3c0b-4b0f-9d53-1f6b0f6a2c11", 3);

function lineOf(write: Parameters<typeof auditFields>[0]): Record<string, unknown> {
  let text = "";
  const { log } = createLog({ level: "info", destination: { write: (line) => (text += line) } });
  log.info(auditFields(write), "write");
  const { time, ...line } = JSON.parse(text);
  expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  return line;
}

test("a write of a person that a policy changed: who, what, when, why", () => {
  const write = {
    ...SERVICE,
    user: "system:serviceaccount:flux:deployer",
    operation: "UPDATE",
    decision: "patched",
    policy: "checkout",
    revision: "1f0c2d7a9b",
    findings: [],
    traceId: TRACE,
  };
  expect(lineOf(write)).toEqual({
    level: "info",
    audit: true,
    user: "system:serviceaccount:flux:deployer",
    operation: "UPDATE",
    group: "",
    kind: "Service",
    namespace: "iam",
    name: "tokens",
    decision: "patched",
    policy: "checkout",
    revision: "1f0c2d7a9b",
    trace_id: TRACE,
    msg: "write",
  });
});

test("a denied write: the codes say why", () => {
  const write = { ...SERVICE, user: "ann", operation: "CREATE", decision: "denied", findings: ["FL101", "FL505"] };
  expect(lineOf(write)).toEqual({
    level: "info",
    audit: true,
    user: "ann",
    operation: "CREATE",
    group: "",
    kind: "Service",
    namespace: "iam",
    name: "tokens",
    decision: "denied",
    findings: ["FL101", "FL505"],
    msg: "write",
  });
});

test("a write of the controller is Fairlead's own", () => {
  const line = lineOf({ ...SERVICE, user: undefined, operation: "UPDATE", decision: "written", policy: "checkout" });
  expect(line).toMatchObject({ audit: true, user: "fairlead", decision: "written", policy: "checkout" });
});
