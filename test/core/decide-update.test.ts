import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { Cluster, type Mutator, RECORD, REVISION, withAnnotations } from "./cluster.ts";
import { type Annotations, namespace, policy, service, validate, worldOf } from "./worlds.ts";

const IDLE = "timeout.linkerd.io/idle";
const REQUEST = "timeout.linkerd.io/request";
const HTTP = "retry.linkerd.io/http";
const LIMIT = "retry.linkerd.io/limit";
const PER_TRY = "retry.linkerd.io/timeout";
const BREAKER = "balancer.linkerd.io/failure-accrual";
const MIN_PENALTY = "balancer.linkerd.io/failure-accrual-consecutive-min-penalty";
const MAX_PENALTY = "balancer.linkerd.io/failure-accrual-consecutive-max-penalty";
const BAD = { [HTTP]: "5xx, 429" };

const TIMEOUTS = policy({ timeout: { idle: "5s", request: "2s" } });
const RETRIES = { retry: { maxAttempts: 2, statusCodes: ["5xx"] } };

function cluster(...world: KubernetesObject[]): Cluster {
  return new Cluster(namespace("enforce"), ...world);
}

describe("a Service that is written again", () => {
  test("an update that changes nothing of ours changes nothing", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    const before = api.object;
    api.annotate({ "example.com/a": "b" });
    expect(api.object).toEqual(withAnnotations(before, { "example.com/a": "b" }));
    expect(api.warnings).toEqual([]);
  });

  test("kubectl apply of an older manifest keeps what was injected", () => {
    const api = cluster(TIMEOUTS);
    api.write(service({ "example.com/version": "2" }));
    api.apply({ "example.com/version": "1" }, { "example.com/version": "2" });
    expect(api.annotations).toEqual({ "example.com/version": "1", [IDLE]: "5000ms", [REQUEST]: "2000ms" });
    expect(api.codes).toEqual([]);
  });

  test("kubectl replace without our keys gets them again", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    const before = api.object;
    api.write(service());
    expect(api.object).toEqual(before);
  });

  test("kubectl replace with what kubectl get printed changes nothing", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    const before = api.object;
    api.write(structuredClone(before));
    expect(api.object).toEqual(before);
  });

  test("a changed policy changes the values on the next write", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    const before = api.revision;
    api.world = [namespace("enforce"), policy({ timeout: { idle: "7s" } })];
    api.annotate({ "example.com/a": "b" });
    expect(api.annotations).toEqual({ "example.com/a": "b", [IDLE]: "7000ms" });
    expect(api.revision).not.toBe(before);
    expect(api.codes).toEqual([]);
  });

  test("PreferExisting respects an injected value that a person edits, with a warning", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    api.annotate({ [IDLE]: "9s" });
    expect(api.annotations).toEqual({ [IDLE]: "9s", [REQUEST]: "2000ms" });
    expect(api.record?.keys).toEqual({ [REQUEST]: "2000ms" });
    expect(api.codes).toEqual(["FL502"]);
    api.world = [namespace("enforce")];
    api.annotate({});
    expect(api.annotations, "the edited value is the person's").toEqual({ [IDLE]: "9s" });
  });

  test("Override repairs an injected value that a person edits, and remembers theirs", () => {
    const api = cluster(policy({ conflictResolution: "Override", timeout: { idle: "5s" } }));
    api.write(service());
    api.annotate({ [IDLE]: "9s" });
    expect(api.annotations).toEqual({ [IDLE]: "5000ms" });
    expect(api.record?.replaced).toEqual({ [IDLE]: "9s" });
    expect(api.warnings.join()).toContain(`remove ${IDLE} from your manifest`);
  });

  test("an injected key that a person removes comes back", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    api.annotate({ [IDLE]: null });
    expect(api.annotations).toEqual({ [IDLE]: "5000ms", [REQUEST]: "2000ms" });
  });

  test("a value that a person writes equal to ours before the policy stays theirs", () => {
    const api = cluster();
    api.write(service({ [IDLE]: "5000ms" }));
    api.world.push(TIMEOUTS);
    api.annotate({});
    expect(api.record?.keys).toEqual({ [REQUEST]: "2000ms" });
    api.world = [namespace("enforce")];
    api.annotate({});
    expect(api.annotations).toEqual({ [IDLE]: "5000ms" });
    expect(api.record).toBeUndefined();
  });
});

describe("Override", () => {
  const OVERRIDE = policy({ conflictResolution: "Override", ...RETRIES });

  test("warns on each apply of a manifest that still has the keys", () => {
    const api = cluster(OVERRIDE);
    const manifest = { [HTTP]: "503", [PER_TRY]: "1s" };
    api.write(service(manifest));
    for (let round = 0; round < 3; round += 1) {
      expect(api.annotations).toEqual({ [HTTP]: "5xx", [LIMIT]: "2" });
      expect(api.record?.replaced).toEqual(manifest);
      expect(api.codes).toEqual(["FL504"]);
      api.apply(manifest, manifest);
    }
  });

  test("a key taken out of the manifest leaves replaced, and is not put back when the policy goes", () => {
    const api = cluster(OVERRIDE);
    api.write(service({ [HTTP]: "503", [LIMIT]: "7" }));
    api.apply({ [LIMIT]: "7" }, { [HTTP]: "503", [LIMIT]: "7" });
    expect(api.record?.replaced).toEqual({ [LIMIT]: "7" });
    api.world = [namespace("enforce")];
    api.annotate({});
    expect(api.annotations).toEqual({ [LIMIT]: "7" });
  });

  test("all keys taken out of the manifest: no warning is left", () => {
    const api = cluster(OVERRIDE);
    api.write(service({ [HTTP]: "503", [LIMIT]: "7" }));
    api.apply({}, { [HTTP]: "503", [LIMIT]: "7" });
    expect(api.annotations).toEqual({ [HTTP]: "5xx", [LIMIT]: "2" });
    expect(api.record?.replaced).toBeUndefined();
    expect(api.codes).toEqual([]);
  });

  test("taken out of the policy: what people wrote comes back and wins", () => {
    const api = cluster(OVERRIDE);
    api.write(service({ [HTTP]: "503", [PER_TRY]: "1s" }));
    api.world = [namespace("enforce"), policy(RETRIES)];
    api.annotate({});
    expect(api.annotations).toEqual({ [HTTP]: "503", [LIMIT]: "2", [PER_TRY]: "1s" });
    expect(api.record).toMatchObject({ keys: { [LIMIT]: "2" } });
    expect(api.codes).toEqual(["FL502"]);
  });

  test("the policy deleted: exactly what people wrote is there again", () => {
    const api = cluster(OVERRIDE);
    const manifest = { [HTTP]: "503", [PER_TRY]: "1s", "example.com/a": "b" };
    api.write(service(manifest));
    api.world = [namespace("enforce")];
    api.annotate({});
    expect(api.object).toEqual({ ...service(manifest, {}) });
  });

  test("values that Linkerd drops are not put back", () => {
    const api = cluster(OVERRIDE);
    api.write(service({ ...BAD, [LIMIT]: "7" }));
    expect(api.codes).toEqual(["FL504"]);
    api.world = [namespace("enforce")];
    expect(api.annotate({})).toBe(true);
    expect(api.annotations).toEqual({ [LIMIT]: "7" });
  });

  test("what comes back is never refused, also beside what people wrote meanwhile with the webhook down", () => {
    const api = cluster(policy({ circuitBreaker: { enabled: false }, conflictResolution: "Override" }));
    api.write(service({ [BREAKER]: "consecutive", [MIN_PENALTY]: "1s", [MAX_PENALTY]: "2s" }));
    expect(api.annotations).toEqual({});
    api.live = withAnnotations(api.object, { [MAX_PENALTY]: "500ms" });
    api.world = [namespace("enforce")];
    expect(api.annotate({})).toBe(true);
    expect(api.annotations).toEqual({ [BREAKER]: "consecutive", [MIN_PENALTY]: "1s", [MAX_PENALTY]: "500ms" });
    expect(api.warnings).toEqual([expect.stringContaining("above max-penalty")]);
    expect(api.annotate({ [MIN_PENALTY]: "2s" }), "what somebody writes now").toBe(false);
  });

  test("what was taken away is remembered when the object is replaced without our record", () => {
    const api = cluster(OVERRIDE);
    api.write(service({ [PER_TRY]: "1s" }));
    const before = api.object;
    api.write(service());
    expect(api.object).toEqual(before);
    api.world = [namespace("enforce")];
    api.write(service());
    expect(api.annotations).toEqual({ [PER_TRY]: "1s" });
  });

  test("a key that was taken away and comes back with another value is remembered with that one", () => {
    const api = cluster(OVERRIDE);
    api.write(service({ [PER_TRY]: "1s" }));
    api.apply({ [PER_TRY]: "3s" }, { [PER_TRY]: "1s" });
    expect(api.record?.replaced).toEqual({ [PER_TRY]: "3s" });
    expect(api.codes).toEqual(["FL504"]);
  });

  test("a key that was taken away and comes back unreadable keeps the value before", () => {
    const api = cluster(OVERRIDE);
    api.write(service({ [PER_TRY]: "1s" }));
    api.apply({ [PER_TRY]: "0.5s" }, { [PER_TRY]: "1s" });
    expect(api.annotations).toEqual({ [HTTP]: "5xx", [LIMIT]: "2" });
    expect(api.record?.replaced).toEqual({ [PER_TRY]: "1s" });
  });
});

describe("policies, labels and namespaces that change", () => {
  test("a disabled section goes, the other stays", () => {
    const api = cluster(policy({ circuitBreaker: {}, timeout: { idle: "5s" } }));
    api.write(service());
    api.world = [namespace("enforce"), policy({ circuitBreaker: { enabled: false }, timeout: { idle: "5s" } })];
    api.annotate({});
    expect(api.annotations).toEqual({ [IDLE]: "5000ms" });
  });

  test("a deleted policy leaves nothing behind", () => {
    const api = cluster(policy({ circuitBreaker: {}, timeout: { idle: "5s" }, ...RETRIES }));
    api.write(service({ "example.com/a": "b" }, { app: "x" }));
    api.world = [namespace("enforce")];
    api.annotate({});
    expect(api.object).toEqual(service({ "example.com/a": "b" }, { app: "x" }));
  });

  test("retry set to 0 takes our retry away and leaves a person's", () => {
    const api = cluster(policy(RETRIES));
    api.write(service({ [PER_TRY]: "1s" }));
    expect(api.annotations).toEqual({ [HTTP]: "5xx", [LIMIT]: "2", [PER_TRY]: "1s" });
    api.world = [namespace("enforce"), policy({ retry: { maxAttempts: 0 } })];
    api.annotate({});
    expect(api.annotations).toEqual({ [PER_TRY]: "1s" });
    expect(api.codes).toEqual(["FL415", "FL502"]);
  });

  test("the label that opts out takes everything of ours away", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    api.write({ ...api.object, metadata: { ...api.object.metadata, labels: { "fairlead.dev/inject": "disabled" } } });
    expect(api.annotations).toEqual({});
    expect(api.revision).toBeUndefined();
  });

  test("and warns where that leaves it open, until the label is gone again", () => {
    const api = cluster(policy({ timeout: { idle: "5s" }, mtls: { mode: "Strict" } }));
    api.write(service());
    expect(api.codes).toEqual([]);
    api.write({ ...api.object, metadata: { ...api.object.metadata, labels: { "fairlead.dev/inject": "disabled" } } });
    expect(api.codes).toEqual(["FL604"]);
    expect(api.warnings.join()).toContain("It is left without mtls: whom policies kept out by that gets in");
    api.write(service());
    expect(api.codes).toEqual([]);
  });

  test("a Service that becomes headless loses what was injected", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    api.write({ ...api.object, spec: { clusterIP: "None", ports: [{ port: 8080 }] } });
    expect(api.annotations).toEqual({});
    expect(api.codes).toEqual(["FL303"]);
  });

  test("audit to enforce: bad old values warn, then injection starts", () => {
    const api = new Cluster(namespace("audit"), TIMEOUTS);
    api.write(service(BAD));
    expect(api.annotations).toEqual(BAD);
    expect(api.warnings).toEqual([]);
    expect(api.codes).toEqual(["FL401"]);
    api.world = [namespace("enforce"), TIMEOUTS];
    expect(api.annotate({ "example.com/a": "b" })).toBe(true);
    expect(api.annotations).toEqual({ ...BAD, "example.com/a": "b", [IDLE]: "5000ms", [REQUEST]: "2000ms" });
    expect(api.warnings).toHaveLength(1);
  });

  test("enforce to audit leaves what was injected", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    api.world = [namespace("audit")];
    api.annotate({ "example.com/a": "b" });
    expect(api.annotations).toEqual({ "example.com/a": "b", [IDLE]: "5000ms", [REQUEST]: "2000ms" });
  });
});

describe("a write is denied only for what it introduces or touches", () => {
  function brownfield(): Cluster {
    const api = new Cluster(namespace(undefined));
    api.write(service({ ...BAD, [IDLE]: "0" }));
    api.world = [namespace("enforce")];
    return api;
  }

  test("old bad values untouched are warnings", () => {
    const api = brownfield();
    expect(api.annotate({ "example.com/a": "b" })).toBe(true);
    expect(api.codes).toEqual(["FL401", "FL402"]);
    expect(api.warnings).toHaveLength(2);
    expect(api.warnings.join()).not.toContain("would be refused");
  });

  test("one touched, still bad: denied for that one only", () => {
    const api = brownfield();
    expect(api.annotate({ [HTTP]: "5xx,  429" })).toBe(false);
    expect(api.message).toContain("1 problem");
    expect(api.message).toContain(HTTP);
  });

  test("one touched and as bad as before, in other letters: denied", () => {
    const api = brownfield();
    expect(api.annotate({ [IDLE]: "0ms" })).toBe(false);
    expect(api.message).toContain("1 problem");
    expect(api.message).toContain(IDLE);
  });

  test("one fixed, the other left: allowed", () => {
    const api = brownfield();
    expect(api.annotate({ [HTTP]: "5xx,429" })).toBe(true);
    expect(api.codes).toEqual(["FL402"]);
  });

  test("a bad value moved to another key is new", () => {
    const api = brownfield();
    expect(api.annotate({ [IDLE]: null, [REQUEST]: "0" })).toBe(false);
  });

  test("created anew: denied", () => {
    const api = brownfield();
    api.live = undefined;
    expect(api.write(service(BAD))).toBe(false);
  });

  test("an old bad group is left alone by a policy until it is fixed", () => {
    const api = brownfield();
    api.world = [namespace("enforce"), policy(RETRIES)];
    api.annotate({});
    expect(api.annotations).toEqual({ ...BAD, [IDLE]: "0" });
    expect(api.codes).toEqual(["FL401", "FL402", "FL503"]);
    api.annotate({ [HTTP]: "503", [IDLE]: null });
    expect(api.annotations).toEqual({ [HTTP]: "503", [LIMIT]: "2" });
  });
});

describe("records and labels that people write", () => {
  const forge = (keys: Annotations, replaced: Annotations = {}): string =>
    JSON.stringify({ policy: "user-service", revision: "x", keys, replaced });

  test("a record forged on update takes nothing of a person's away", () => {
    const api = cluster();
    api.write(service({ [IDLE]: "9s" }));
    api.annotate({ [RECORD]: forge({ [IDLE]: "9s" }) });
    expect(api.annotations).toEqual({ [IDLE]: "9s" });
    expect(api.record).toBeUndefined();
  });

  test("a record forged beside ours is replaced by the true one", () => {
    const api = cluster(TIMEOUTS);
    api.write(service({ [HTTP]: "503" }));
    const before = api.object;
    api.annotate({ [RECORD]: forge({ [HTTP]: "503", "example.com/a": "b" }, { [LIMIT]: "9" }) });
    expect(api.object).toEqual(before);
  });

  test.each(["", "{", "null", "[]", '{"keys":[]}', '{"__proto__":{"keys":{}}}', '{"keys":{"constructor":"x"}}'])(
    "the record %j on update is rewritten, and removal is still exact",
    (text) => {
      const api = cluster(policy({ conflictResolution: "Override", ...RETRIES }));
      api.write(service({ [HTTP]: "503", [PER_TRY]: "1s" }));
      const before = api.object;
      expect(api.annotate({ [RECORD]: text })).toBe(true);
      expect(api.object).toEqual(before);
      api.world = [namespace("enforce")];
      api.annotate({ [RECORD]: text });
      expect(api.annotations).toEqual({ [HTTP]: "503", [PER_TRY]: "1s" });
    },
  );

  test("a removed record is written again, and removal is still exact", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    const before = api.object;
    api.annotate({ [RECORD]: null });
    expect(api.object).toEqual(before);
    api.world = [namespace("enforce")];
    api.annotate({ [RECORD]: null });
    expect(api.annotations).toEqual({});
  });

  test("a revision label written by hand is corrected, and removed where nothing was injected", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    const { revision } = api;
    api.write({ ...api.object, metadata: { ...api.object.metadata, labels: { [REVISION]: "mine" } } });
    expect(api.revision).toBe(revision);
    api.world = [namespace("enforce")];
    api.write({ ...api.object, metadata: { ...api.object.metadata, labels: { [REVISION]: "mine" } } });
    expect(api.revision).toBeUndefined();
  });

  test("a bad record that no mutating pass rewrote is denied, and tolerated once it is old", () => {
    const world = worldOf([namespace("enforce")]);
    const bad = service({ [RECORD]: forge({ "example.com/a": "b" }) });
    const verdict = validate(world, bad, service());
    expect(verdict.allowed).toBe(false);
    expect(verdict.findings.map((item) => item.code)).toContain("FL501");
    expect(validate(world, bad, bad).allowed).toBe(true);
  });

  test.each([
    ["missing", service()],
    ["stale", service({ [IDLE]: "1000ms", [RECORD]: forge({ [IDLE]: "1000ms" }) })],
    ["of an unknown policy", service({ [RECORD]: JSON.stringify({ policy: "gone", revision: "x", keys: {} }) })],
  ])("a record that is %s is never a reason to deny", (_, object) => {
    const verdict = validate(worldOf([namespace("enforce"), TIMEOUTS]), object);
    expect(verdict.allowed).toBe(true);
    expect(verdict.findings.map((item) => item.code)).toContain("FL505");
  });
});

describe("another mutator in between", () => {
  const injector: Mutator = (object) => withAnnotations(object, { "config.linkerd.io/opaque-ports": "25", "a/b": "c" });

  test.each([
    ["create", service({ [HTTP]: "503" }), undefined],
    ["update", service({ [HTTP]: "503", [PER_TRY]: "2s" }), service({ [HTTP]: "429", [PER_TRY]: "1s" })],
  ])("on %s the second pass finds nothing to do", (_, object, before) => {
    const api = cluster(policy({ conflictResolution: "Override", circuitBreaker: {}, ...RETRIES }));
    if (before !== undefined) api.write(before);
    api.foreign = injector;
    api.write(object);
    expect(api.annotations).toMatchObject({ [HTTP]: "5xx", [BREAKER]: "consecutive", "a/b": "c" });
    expect(api.record?.replaced).toMatchObject({ [HTTP]: "503" });
    expect(api.codes).toEqual(["FL504"]);
  });

  test("one that makes the port opaque makes us take our settings back", () => {
    const api = cluster(TIMEOUTS);
    api.foreign = (object) => withAnnotations(object, { "config.linkerd.io/opaque-ports": "8080" });
    api.write(service());
    expect(api.annotations).toEqual({ "config.linkerd.io/opaque-ports": "8080" });
    expect(api.record).toBeUndefined();
    expect(api.revision).toBeUndefined();
  });
});
