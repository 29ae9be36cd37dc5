import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { NESTING_MAX_LEVELS } from "../../src/http/decode.ts";
import { answer, type Door } from "../../src/http/admission.ts";
import type { AdmissionRequest } from "../../src/core/admission/review.ts";
import type { Finding } from "../../src/core/finding.ts";
import { call, REVIEWED_MS, rig, serviceReview, UID, verdict } from "./support.ts";

const FIX = "send the AdmissionReview as kube-apiserver builds it";
const DENY: Finding = { code: "FL101", severity: "deny", path: "spec", message: "m", fix: "f" };

function withObject(change: (object: Record<string, unknown>, metadata: Record<string, unknown>) => void): unknown {
  const review = serviceReview();
  const { object } = review["request"] as { object: Record<string, unknown> };
  change(object, object["metadata"] as Record<string, unknown>);
  return review;
}

function nested(levels: number): string {
  return JSON.stringify(serviceReview()).replace(
    '"spec":{',
    `"spec":{"deep":${"[".repeat(levels)}${"]".repeat(levels)},`,
  );
}

describe("answer() encodes", () => {
  test("an unchanged object on the mutating door", () => {
    const { deps } = rig();
    expect(answer("mutate", call(serviceReview()), deps)).toEqual({
      status: 200,
      body: `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"${UID}","allowed":true}}`,
    });
  });

  test("a patch on the mutating door, allowed whatever the verdict says of denial", () => {
    const patch = [{ op: "add" as const, path: "/metadata/annotations/é~1x", value: "1" }];
    const { deps } = rig(() => verdict({ allowed: false, message: "no", patch }));
    const encoded = Buffer.from(JSON.stringify(patch)).toString("base64");
    expect(answer("mutate", call(serviceReview()), deps).body).toBe(
      `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"${UID}","allowed":true,` +
        `"patchType":"JSONPatch","patch":"${encoded}"}}`,
    );
  });

  test("a denial with warnings on the validating door", () => {
    const { deps } = rig(() => verdict({ allowed: false, message: 'found "1"\nwanted 2', warnings: ["w1", "w2"] }));
    expect(answer("validate", call(serviceReview()), deps)).toEqual({
      status: 200,
      body:
        `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"${UID}","allowed":false,` +
        String.raw`"status":{"code":403,"reason":"Forbidden","message":"found \"1\"\nwanted 2"},"warnings":["w1","w2"]}}`,
    });
  });

  test("no patch on the validating door", () => {
    const { deps } = rig(() => verdict({ patch: [{ op: "remove", path: "/x" }] }));
    expect(answer("validate", call(serviceReview()), deps).body).not.toContain("patch");
  });

  test.each([
    ["DELETE", { operation: "DELETE", object: null }],
    ["CONNECT", { operation: "CONNECT" }],
  ])("allowed without asking the core for %s", (_name, overrides) => {
    const { deps } = rig(() => {
      throw new Error("not to be called");
    });
    const { status, body } = answer("validate", call(serviceReview(overrides)), deps);
    expect([status, JSON.parse(body).response]).toEqual([200, { uid: UID, allowed: true }]);
  });
});

test.each([
  ["Invalid", 422],
  ["Unauthorized", 401],
  ["RequestEntityTooLarge", 413],
  ["SomethingElse", 403],
] as const)("answer() gives the reason of a rule, %s, and what it says for the audit log", (reason, code) => {
  const denial = { allowed: false, message: "no", reason, auditAnnotations: { "a-rule.key": "value" } };
  const { deps } = rig(() => verdict(denial));
  const { status, body } = answer("rules-fail", call(serviceReview()), deps);
  expect([status, JSON.parse(body).response]).toEqual([
    200,
    {
      uid: UID,
      allowed: false,
      status: { code, reason, message: "no" },
      auditAnnotations: { "a-rule.key": "value" },
    },
  ]);
});

describe("answer() refuses with 400", () => {
  const cases: readonly (readonly [string, unknown, string])[] = [
    ["a request that is a list", { ...serviceReview(), request: [] }, "found a list at request, wanted an object"],
    [
      "an empty uid",
      serviceReview({ uid: "" }),
      "found a string of 0 characters at request.uid, wanted a string of 1 to 128 characters",
    ],
    [
      "no uid",
      serviceReview({ uid: undefined }),
      "found nothing at request.uid, wanted a string of 1 to 128 characters",
    ],
    ["a number", "5", "found a number at the body, wanted an object"],
    ["null", "null", "found null at the body, wanted an object"],
    ["broken JSON", '{"uid": "secret-content', "found 23 bytes that are not JSON, wanted one AdmissionReview"],
    ["an empty body", "", "found 0 bytes that are not JSON, wanted one AdmissionReview"],
    [
      "deep nesting",
      nested(NESTING_MAX_LEVELS),
      `found more than ${NESTING_MAX_LEVELS} levels of nesting, wanted fewer`,
    ],
    [
      "a bomb of brackets",
      "[".repeat(5_000_000),
      `found more than ${NESTING_MAX_LEVELS} levels of nesting, wanted fewer`,
    ],
  ];
  test.each(cases)("and a Status for %s", (_name, body, problem) => {
    const { deps } = rig();
    const message = `Cannot read the AdmissionReview: ${problem}; ${FIX}`;
    expect(answer("validate", call(body), deps)).toEqual({
      status: 400,
      body: JSON.stringify({
        kind: "Status",
        apiVersion: "v1",
        status: "Failure",
        message,
        reason: "BadRequest",
        code: 400,
      }),
    });
  });

  const withUid: readonly (readonly [string, unknown, string])[] = [
    [
      "v1beta1",
      { ...serviceReview(), apiVersion: "admission.k8s.io/v1beta1" },
      'found apiVersion and kind "admission.k8s.io/v1beta1", "AdmissionReview", wanted admission.k8s.io/v1, AdmissionReview',
    ],
    [
      "another kind",
      { ...serviceReview(), kind: {} },
      'found apiVersion and kind "admission.k8s.io/v1", an object, wanted admission.k8s.io/v1, AdmissionReview',
    ],
    ["no kind", serviceReview({ kind: null }), "found null at request.kind, wanted an object"],
    ["a kind of numbers", serviceReview({ kind: { kind: 1 } }), "found a number at request.kind.kind, wanted a name"],
    [
      "a group that is a list",
      serviceReview({ kind: { kind: "A", group: [] } }),
      "found a list at request.kind.group, wanted a name",
    ],
    [
      "a namespace of 2 MB",
      serviceReview({ namespace: "n".repeat(2e6) }),
      "found a string of 2000000 characters at request.namespace, wanted a name",
    ],
    ["a name that is null", serviceReview({ name: null }), "found null at request.name, wanted a name"],
    [
      "an UPDATE without object",
      serviceReview({ operation: "UPDATE", object: null }),
      "found nothing at request.object, wanted an object for UPDATE",
    ],
    [
      "a CREATE whose object is left out",
      serviceReview({ object: undefined }),
      "found nothing at request.object, wanted an object for CREATE",
    ],
    [
      "an unknown operation",
      serviceReview({ operation: "PATCH" }),
      'found request.operation "PATCH", wanted CREATE, UPDATE, DELETE, CONNECT',
    ],
    [
      "an object that is a string",
      serviceReview({ object: "x" }),
      "found a string of 1 characters at request.object, wanted an object or null",
    ],
    [
      "an oldObject that is a list",
      serviceReview({ oldObject: [] }),
      "found a list at request.oldObject, wanted an object or null",
    ],
    [
      "metadata null",
      withObject((o) => (o["metadata"] = null)),
      "found null at request.object.metadata, wanted an object",
    ],
    ["no metadata", serviceReview({ object: {} }), "found nothing at request.object.metadata, wanted an object"],
    [
      "an apiVersion of 1",
      withObject((o) => (o["apiVersion"] = 1)),
      "found a number at request.object.apiVersion, wanted a string",
    ],
    [
      "a name of 1",
      withObject((_, m) => (m["name"] = 1)),
      "found a number at request.object.metadata.name, wanted a string",
    ],
    [
      "annotations that are a list",
      withObject((_, m) => (m["annotations"] = ["a"])),
      "found a list at request.object.metadata.annotations, wanted a map of strings",
    ],
    [
      "an annotation that is a number",
      withObject((_, m) => (m["annotations"] = { ok: "1", 'b"ad': 7 })),
      'found a number at request.object.metadata.annotations["b\\"ad"], wanted a string',
    ],
    [
      "a label that is null",
      withObject((_, m) => (m["labels"] = { x: null })),
      'found null at request.object.metadata.labels["x"], wanted a string',
    ],
    [
      "owners that are no list",
      withObject((_, m) => (m["ownerReferences"] = {})),
      "found an object at request.object.metadata.ownerReferences, wanted a list of objects",
    ],
    [
      "an owner that is a string",
      withObject((_, m) => (m["ownerReferences"] = ["x"])),
      "found a string of 1 characters at request.object.metadata.ownerReferences[], wanted an object",
    ],
  ];
  test.each(withUid)("and the uid for %s", (_name, body, problem) => {
    const { deps } = rig();
    const message = `Cannot read the AdmissionReview: ${problem}; ${FIX}`;
    expect(answer("mutate", call(body), deps)).toEqual({
      status: 400,
      body:
        `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"${UID}","allowed":false,` +
        `"status":{"code":400,"reason":"BadRequest","message":${JSON.stringify(message)}}}}`,
    });
  });
});

describe("answer() hands the core", () => {
  function seenBy(body: unknown, door: Door = "validate"): AdmissionRequest {
    let seen: AdmissionRequest | undefined;
    const { deps } = rig((request) => {
      seen = request;
      return verdict({});
    });
    expect(answer(door, call(body), deps).status).toBe(200);
    if (seen === undefined) throw new Error("decide was not called");
    return seen;
  }

  test("the request with its door as phase", () => {
    const review = serviceReview({ operation: "UPDATE" });
    const { object, attributes, ...rest } = seenBy(review);
    expect(attributes).toEqual(review["request"]);
    expect(rest).toEqual({
      phase: "validate",
      nowMs: REVIEWED_MS,
      uid: UID,
      kind: { group: "", kind: "Service" },
      operation: "UPDATE",
      namespace: "iam",
      name: "user-service",
      oldObject: undefined,
    });
    expect(object?.metadata?.name).toBe("user-service");
  });

  test.each(["__proto__", "\\u005f_proto__", "__\\u0070roto__"])("no key %s, and pollutes nothing", (key) => {
    const body = JSON.stringify(serviceReview()).replace('"labels":{', `"labels":{"${key}":{"polluted":"yes"},`);
    const labels = seenBy(body).object?.metadata?.labels ?? {};
    expect(Object.keys(labels)).toEqual(["app.kubernetes.io/name", "team"]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(Object.getPrototypeOf(labels)).toBe(Object.prototype);
  });

  test("text that only mentions __proto__, and keys such as constructor, untouched", () => {
    const annotations = { constructor: "x", toString: "y", note: '{"__proto__": 1} \\u005f' };
    const seen = seenBy(withObject((_, metadata) => (metadata["annotations"] = annotations)));
    expect(seen.object?.metadata?.annotations).toEqual(annotations);
  });

  test("nulls as absent", () => {
    const body = withObject((_, m) =>
      Object.assign(m, { labels: null, annotations: null, ownerReferences: null, generateName: null }),
    );
    expect(Object.keys(seenBy(body).object?.metadata ?? {})).toEqual([
      "name",
      "namespace",
      "uid",
      "creationTimestamp",
      "managedFields",
    ]);
  });

  test("objects just under the limit of nesting", () => {
    expect(seenBy(nested(NESTING_MAX_LEVELS - 10)).object?.spec).toBeDefined();
  });

  test("brackets within strings as no nesting", () => {
    const text = '[{"\\'.repeat(10_000);
    const seen = seenBy(withObject((_, m) => (m["annotations"] = { text })));
    expect(seen.object?.metadata?.annotations).toEqual({ text });
  });

  test.each(["x", '"', "\\", '\\"', '""'])("the end of a string where it is, with %j anywhere in it", (special) => {
    // Long enough to be scanned; brackets after a string whose end was missed, or taken too early, would be too many.
    const texts = Array.from({ length: 140 }, (_, at) => `${"[".repeat(at)}${special}${"{".repeat(140 - at)}`);
    const annotations = Object.fromEntries(texts.map((text, at) => [`example.com/${at}`, text]));
    const seen = seenBy(withObject((_, metadata) => (metadata["annotations"] = annotations)));
    expect(seen.object?.metadata?.annotations).toEqual(annotations);
    const deep = nested(NESTING_MAX_LEVELS).replace(
      '"spec":{',
      () => `"text":${JSON.stringify(texts.join(""))},"spec":{`,
    );
    const { deps } = rig();
    expect(answer("mutate", call(deep), deps).status).toBe(400);
  });

  test("an integer of 16 digits as it is, wherever it stands", () => {
    for (let at = 0; at < 20; at++) {
      const body = JSON.stringify(withObject((object) => (object["spec"] = "DIGITS")));
      const moved = body.replace('"DIGITS"', `${" ".repeat(at)}9007199254740993`);
      expect(seenBy(moved, "rules-fail").object?.spec).toBe(9007199254740993n);
    }
  });

  test.each(["rules-fail", "rules-ignore"] as const)(
    "integers as they are to %s, as long as they fit 64 bits",
    (door) => {
      const digits = "[9007199254740993,-9223372036854775808,9223372036854775808,1234567890123456.5,1e16,7]";
      const body = JSON.stringify(withObject((object) => (object["spec"] = "DIGITS"))).replace('"DIGITS"', digits);
      const rounded = [2 ** 63, 1234567890123456.5, 1e16, 7];
      expect(seenBy(body, door).object?.spec).toEqual([9007199254740993n, -(2n ** 63n), ...rounded]);
    },
  );

  test("numbers beyond 2^53 rounded, and 1,000 annotations", () => {
    const annotations = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`example.com/${index}`, "v"]));
    const seen = seenBy(
      withObject(
        (object, metadata) =>
          Object.assign(metadata, { annotations }) && Object.assign(object, { spec: { big: 2 ** 60 } }),
      ),
    );
    expect(Object.keys(seen.object?.metadata?.annotations ?? {})).toHaveLength(1_000);
  });
});

describe("answer() records", () => {
  test("HTTP 500 with the uid when the core throws, the stack in the log, no contents", () => {
    const { deps, lines } = rig(() => {
      throw new Error("found top-secret in the object");
    });
    const { status, body } = answer("validate", call(serviceReview()), deps);
    expect([status, JSON.parse(body).response]).toEqual([
      500,
      {
        uid: UID,
        allowed: false,
        status: {
          code: 500,
          reason: "InternalError",
          message: `Fairlead failed on this request; its log has the details under uid ${UID}`,
        },
      },
    ]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: "error", uid: UID, decision: "error", fault: { type: "Error" } });
    expect(JSON.stringify(lines[0]?.["fault"])).toContain("admission.test.ts");
    expect(JSON.stringify(lines) + body).not.toContain("top-secret");
  });

  const WARN: Finding = { ...DENY, severity: "warn" };
  test.each([
    ["nothing to change", "mutate", {}, "debug"],
    ["a patch", "mutate", { patch: [{ op: "remove" as const, path: "/a" }] }, "info"],
    ["nothing found", "validate", {}, "debug"],
    ["a warning", "validate", { findings: [WARN] }, "info"],
    ["a denial", "validate", { allowed: false, findings: [DENY] }, "info"],
  ] as const)("%s on the door %s: %j at level %s", (...[, door, overrides, level]) => {
    const { deps, lines } = rig(() => verdict(overrides));
    answer(door, call(serviceReview()), deps);
    expect(lines.map((line) => line["level"])).toEqual([level]);
  });

  test("the time from when the body was there, with the wait for the others of its batch", () => {
    const { deps, lines } = rig();
    answer("mutate", { ...call(serviceReview()), arrivedMs: 40 }, { ...deps, monotonicMs: () => 100 });
    expect(lines[0]?.["durationMs"]).toBe(60);
  });

  test("one line and one count a request", async () => {
    const { deps, lines } = rig(() => verdict({ allowed: false, message: "no", findings: [DENY], mode: "enforce" }));
    answer("validate", call(serviceReview()), deps);
    answer("validate", call("{"), deps);
    expect(lines[0]).toMatchObject({
      level: "info",
      msg: "review",
      uid: UID,
      door: "validate",
      kind: "Service",
      operation: "CREATE",
      namespace: "iam",
      name: "user-service",
      decision: "denied",
      findings: ["FL101"],
    });
    expect(lines.map((line) => line["level"])).toEqual(["info", "warn"]);
    const text = await deps.metrics.registry.metrics();
    expect(text).toContain(
      'reviews_total{door="validate",kind="Service",operation="CREATE",mode="enforce",decision="denied"} 1',
    );
    expect(text).toContain(
      'reviews_total{door="validate",kind="other",operation="none",mode="none",decision="bad_request"} 1',
    );
    expect(text).toContain('fairlead_findings_total{code="FL101",severity="deny"} 1');
    expect(text).toContain('fairlead_admission_duration_seconds_count{door="validate"} 2');
  });

  test("kinds it does not know as other", async () => {
    const { deps } = rig();
    for (const kind of ["A", "B", "Service"]) {
      answer("mutate", call(serviceReview({ kind: { group: "example.com", kind } })), deps);
    }
    expect(await deps.metrics.registry.metrics()).toContain(
      'kind="other",operation="CREATE",mode="none",decision="unchanged"} 3',
    );
  });
});
