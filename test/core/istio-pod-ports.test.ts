import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { policyStatus } from "../../src/core/policy/status.ts";
import { wantedBeside } from "./wanted-beside.ts";
import { namespace, policy, validate, worldOf } from "./worlds.ts";

const ISTIO = namespace("enforce", { labels: { "istio-injection": "enabled" } });
const EVERYTHING = policy(
  {
    rateLimit: { requestsPerSecond: 10 },
    mtls: { mode: "Strict" },
    authorization: { allow: [{ from: { namespaces: ["front"] } }], deny: [{ to: { methods: ["PUT"] } }] },
  },
  { uid: "u-1" },
);
const WAITING = ["FL328", "FL328", "FL328"];
const HTTP = { name: "http", port: 80, targetPort: "web" };

function service(ports: readonly object[] = [HTTP]): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "user-service", namespace: "iam" },
    spec: { selector: { app: "user-service" }, ports },
  };
}

const OF_PODS = "endpointslice-controller.k8s.io";
let slices = 0;

/** `ports`: by the names of those of the Service. */
function slice(ports: Readonly<Record<string, number>>, service = "user-service", inNamespace = "iam") {
  slices += 1;
  const labels = { "kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": OF_PODS };
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `slice-${slices}`, namespace: inNamespace, labels },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: false } }],
    ports: Object.entries(ports).map(([name, port]) => ({ name, port, protocol: "TCP" })),
  };
}

/** What is left of a Service that is scaled to zero. */
const empty = () => ({ ...slice({}), endpoints: [] });

/** Of a controller that makes slices of something else, such as Pods of another cluster. */
function foreign(ports: Readonly<Record<string, number>>): object {
  const made = slice(ports);
  const labels = { ...made.metadata.labels, "endpointslice.kubernetes.io/managed-by": "mesh.example" };
  return { ...made, metadata: { ...made.metadata, labels } };
}

function beside(...objects: readonly KubernetesObject[]) {
  const found = wantedBeside("user-service", [ISTIO, EVERYTHING, ...objects]);
  const text = JSON.stringify(found.objects);
  return {
    ...found,
    /** The ports of what denies and lets in, of the modes, and of the limit. */
    ports: {
      access: text.match(/"ports":\[[^\]]*\]/g) ?? [],
      modes: text.match(/"portLevelMtls":\{.*?\}\}/g) ?? [],
      limits: [...text.matchAll(/"portNumber":(\d+)/g)].map(([, number]) => number),
    },
    records: [...new Set(found.objects.map(({ metadata }) => metadata?.annotations?.["fairlead.dev/pod-ports"]))],
  };
}

describe("a port of the Pods by name has the numbers that EndpointSlices tell", () => {
  test.each<[string, objects: readonly KubernetesObject[], numbers: readonly string[]]>([
    ["of a Pod that is not ready", [service(), slice({ http: 8080 })], ["8080"]],
    [
      "of a port of the Service without a name",
      [service([{ port: 80, targetPort: "web" }]), slice({ "": 8080 })],
      ["8080"],
    ],
    ["of both families, once", [service(), slice({ http: 8080 }), slice({ http: 8080 })], ["8080"]],
    ["of Pods that differ", [service(), slice({ http: 9080 }), slice({ http: 8080 })], ["8080", "9080"]],
    ["and not those of other ports", [service(), slice({ http: 8080, metrics: 9090 })], ["8080"]],
    [
      "and not those that no port can have",
      [service(), slice({ http: 8080 }), ...[0, -1, 1.5, 65_536].map((port) => slice({ http: port }))],
      ["8080"],
    ],
    ["and not those of other controllers", [service(), slice({ http: 8080 }), foreign({ http: 7777 })], ["8080"]],
    [
      "and not those of other Services",
      [service(), slice({ http: 8080 }), slice({ http: 1 }, "cart"), slice({ http: 2 }, "user-service", "other")],
      ["8080"],
    ],
  ])("%s", (_what, objects, numbers) => {
    const { ports, codes, unwritten, records } = beside(...objects);
    const listed = `"ports":${JSON.stringify(numbers)}`;
    const modes = numbers.map((it) => `"${it}":{"mode":"STRICT"}`).join();
    expect(ports).toEqual({ access: [listed, listed], modes: [`"portLevelMtls":{${modes}}`], limits: numbers });
    expect({ codes, unwritten }).toEqual({ codes: [], unwritten: [] });
    expect(records).toEqual([JSON.stringify({ web: numbers.map(Number) })]);
  });

  test("beside a port by number, which is noted, too: it may get a name", () => {
    const { ports, records } = beside(
      service([HTTP, { name: "http-admin", port: 81, targetPort: 7070 }]),
      slice({ http: 8080, "http-admin": 7070 }),
    );
    expect(ports.limits).toEqual(["7070", "8080"]);
    expect(records).toEqual(['{"7070":[7070],"web":[8080]}']);
    expect(beside(service([{ name: "http", port: 80, targetPort: 8080 }])).records).toEqual(['{"8080":[8080]}']);
  });

  test("that speak HTTP where the port of the Service does", () => {
    const tcp = { name: "tcp-raw", port: 90, targetPort: "raw" };
    expect(beside(service([HTTP, tcp]), slice({ http: 8080, "tcp-raw": 9000 })).ports).toMatchObject({
      access: ['"ports":["8080"]', '"ports":["8080","9000"]'],
      limits: ["8080"],
    });
  });
});

describe("as long as a number is not known nothing is written, and nothing refused", () => {
  test.each<[string, readonly KubernetesObject[]]>([
    ["without a slice", [service()]],
    ["with one of a number that no port can have", [service(), slice({ http: 0 })]],
    ["with one of a Service without Pods", [service(), empty()]],
    ["with one of another controller", [service(), foreign({ http: 7777 })]],
    ["with Pods that have no port of the name", [service(), slice({ metrics: 9090 })]],
    [
      "with one of two numbers",
      [service([HTTP, { name: "grpc", port: 90, targetPort: "grpc" }]), slice({ http: 8080 })],
    ],
  ])("%s", (_what, objects) => {
    const { names, codes, unwritten } = beside(...objects);
    expect({ names, codes }).toEqual({ names: [], codes: WAITING });
    expect(unwritten.sort()).toEqual(["authorization", "mtls", "rateLimit"]);
    const { allowed, findings } = validate(worldOf([ISTIO, ...objects]), EVERYTHING);
    expect(allowed).toBe(true);
    expect(findings.map(({ code, severity }) => `${code} ${severity}`)).toEqual(WAITING.map((code) => `${code} warn`));
  });

  test("it says for what is waited, and what to look at", () => {
    const { warnings } = validate(worldOf([ISTIO, service()]), EVERYTHING);
    expect(warnings[1]).toBe(
      'FL328 spec.mtls: Port 80 of Service user-service leads to port "web" of its Pods, whose number is not known yet; ' +
        "mtls waits for it; wait for a first Pod, and see that it has a port of this name",
    );
  });

  test("the policy is not ready, and no Service is listed that it guards", () => {
    const told = (...objects: readonly KubernetesObject[]) => {
      const world = worldOf([ISTIO, EVERYTHING, service(), ...objects]);
      const { findings } = beside(service(), ...objects);
      const owned = { findings, pending: 0 };
      const status = policyStatus({
        policy: EVERYTHING,
        world,
        failures: new Map(),
        owned,
        nowText: "2026-11-26T12:00:00Z",
      });
      const ready = status.conditions?.find(({ type }) => type === "Ready");
      return { ready: `${ready?.status} ${ready?.reason}`, guarded: status.appliedToServices?.map(({ name }) => name) };
    };
    expect(told()).toEqual({ ready: "False PortsUnknown", guarded: [] });
    expect(told(slice({ http: 8080 }))).toEqual({ ready: "True AllTargetsUpdated", guarded: ["user-service"] });
  });

  test("a request cannot be told apart without HTTP, whatever the number", () => {
    const tcp = service([{ name: "tcp", port: 80, targetPort: "web" }]);
    expect(beside(tcp).codes).toEqual(["FL310", ...WAITING.slice(1)]);
  });
});

describe("once all Pods are gone the numbers known last count", () => {
  const live = beside(service(), slice({ http: 8080 })).objects;

  function withRecord(record: string): readonly KubernetesObject[] {
    return live.map((object) => ({
      ...object,
      metadata: { ...object.metadata, annotations: { "fairlead.dev/pod-ports": record } },
    }));
  }

  test("what is written stays as it was", () => {
    for (const left of [empty(), foreign({ http: 7777 }), foreign({})])
      expect(beside(service(), left, ...live)).toMatchObject({ objects: live, codes: [], unwritten: [] });
  });

  test("where Pods run and none has the port, they count as well, and it is told", () => {
    for (const left of [slice({}), slice({ metrics: 9090 })]) {
      const found = beside(service(), left, ...live);
      expect(found).toMatchObject({ objects: live, codes: WAITING, unwritten: [] });
      expect(found.messages[1]).toBe(
        'FL328 Port 80 of Service user-service leads to port "web" of its Pods, which none of them has; until it is known, ' +
          "mtls is for 8080 only",
      );
    }
  });

  test("any of the objects tells them", () => {
    for (const object of live) expect(beside(service(), object).objects).toEqual(live);
  });

  test("those that Pods have now go before them", () => {
    expect(beside(service(), slice({ http: 9080 }), ...live).ports.limits).toEqual(["9080"]);
  });

  test.each(["", "no JSON", "[]", "null", '{"web":8080}', '{"web":["8080",0,65536,1.5,null]}'])(
    "a record that somebody has made %s tells none",
    (record) => {
      expect(beside(service(), ...withRecord(record))).toMatchObject({ names: [], codes: WAITING });
    },
  );

  test("an object of people under the name tells none", () => {
    const theirs = live.map((object) => ({ ...object, metadata: { ...object.metadata, labels: {} } }));
    expect(beside(service(), ...theirs).codes).toEqual(WAITING);
  });
});

describe("as long as one number is not known, what was guarded stays so, and what is known is guarded as well", () => {
  const METRICS = { name: "http-metrics", port: 81, targetPort: "metrics" };
  const RAW = { name: "tcp-raw", port: 90, targetPort: "raw" };
  const before = (ports: readonly object[], numbers: Readonly<Record<string, number>>) =>
    beside(service(ports), slice(numbers)).objects;
  const strict = (...numbers: readonly number[]) =>
    `"portLevelMtls":{${numbers.map((it) => `"${it}":{"mode":"STRICT"}`).join()}}`;

  test("a port moves while another that no Pod has is added: the guards follow, and the limit stays", () => {
    const live = before([HTTP], { http: 8080 });
    const found = beside(service([HTTP, METRICS]), slice({ http: 9999 }), ...live);
    const listed = '"ports":["8080","9999"]';
    expect(found.ports).toEqual({ access: [listed, listed], modes: [strict(8080, 9999)], limits: ["8080", "9999"] });
    expect(found).toMatchObject({ codes: WAITING, unwritten: [], records: ['{"web":[8080,9999]}'] });
    expect(found.messages[1]).toBe(
      'FL328 Port 81 of Service user-service leads to port "metrics" of its Pods, which none of them has; until it is known, ' +
        "mtls is for 8080 and 9999 only",
    );
  });

  const BY_NUMBER = { ...HTTP, targetPort: 8080 };
  const RENAMED = { ...HTTP, targetPort: "api" };

  test.each([
    { what: "gets another name", was: [HTTP], is: [RENAMED], wanted: [8080] },
    { what: "gets another name beside one that is known", was: [HTTP, RAW], is: [RENAMED, RAW], wanted: [8080, 9000] },
    { what: "gets a name instead of a number", was: [BY_NUMBER], is: [RENAMED], wanted: [8080] },
    { what: "gets one beside a port that is known", was: [BY_NUMBER, RAW], is: [RENAMED, RAW], wanted: [8080, 9000] },
    {
      what: "gets one beside a number that moves",
      was: [BY_NUMBER, { ...RAW, targetPort: 9000 }],
      is: [RENAMED, { ...RAW, targetPort: 9001 }],
      wanted: [8080, 9000, 9001],
    },
  ])("a port that $what stays guarded, and the next plan wants the same", ({ was, is, wanted }) => {
    const live = before(was, { http: 8080, "tcp-raw": 9000 });
    const after = [service(is), slice({ "tcp-raw": 9000 })];
    const found = beside(...after, ...live);
    expect(found).toMatchObject({ codes: WAITING, unwritten: [], ports: { modes: [strict(...wanted)] } });
    expect(beside(...after, ...found.objects).objects).toEqual(found.objects);
  });

  test("once all are known the others are let go", () => {
    const live = beside(service([HTTP, METRICS]), slice({ http: 9999 }), ...before([HTTP], { http: 8080 })).objects;
    const found = beside(service([HTTP, METRICS]), slice({ http: 9999, "http-metrics": 9090 }), ...live);
    expect(found).toMatchObject({ codes: [], ports: { modes: [strict(9090, 9999)], limits: ["9090", "9999"] } });
  });

  test("what is known to speak no HTTP gets nothing of requests", () => {
    const live = before([HTTP, RAW], { http: 8080, "tcp-raw": 9000 });
    const found = beside(service([HTTP, RAW, METRICS]), slice({ http: 8080, "tcp-raw": 9001 }), ...live);
    expect(found.ports).toMatchObject({
      access: ['"ports":["8080"]', '"ports":["8080","9000","9001"]'],
      limits: ["8080"],
    });
  });

  test("a rule for requests is not for all ports because none is known to speak HTTP", () => {
    const live = before([HTTP, RAW], { http: 8080, "tcp-raw": 9000 }).map((object) => ({
      ...object,
      metadata: { ...object.metadata, annotations: { "fairlead.dev/pod-ports": '{"raw":[9000]}' } },
    }));
    const { ports, names } = beside(service([{ ...HTTP, targetPort: "api" }, RAW]), ...live);
    expect(ports).toMatchObject({ access: ['"ports":["9000"]'], limits: [] });
    expect(names).not.toContain("EnvoyFilter fairlead-user-service");
  });
});
