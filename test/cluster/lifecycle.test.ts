import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { annotationsOf, labelsOf } from "../../src/core/kubernetes.ts";
import type { PatchOperation } from "../../src/core/admission/review.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ForeignWebhook, type ForeignWebhookOptions } from "./foreign-webhook.ts";
import { expectCarries, expectClean, managersOf, ownAnnotations, policy, Session, service } from "./session.ts";

let session: Session;
beforeAll(async () => {
  session = await Session.start();
});
afterAll(() => session?.stop());

const ACCRUAL = "balancer.linkerd.io/failure-accrual";
const REVISION = "fairlead.dev/revision";
const RECORD = "fairlead.dev/injected";

function breaker(maxFailures: number): Record<string, string> {
  return {
    [ACCRUAL]: "consecutive",
    [`${ACCRUAL}-consecutive-max-failures`]: String(maxFailures),
    [`${ACCRUAL}-consecutive-min-penalty`]: "1000ms",
    [`${ACCRUAL}-consecutive-max-penalty`]: "60000ms",
    [`${ACCRUAL}-consecutive-jitter-ratio`]: "0.5",
  };
}
const TIMEOUT = { "timeout.linkerd.io/request": "2500ms" };
const KEYS = { ...breaker(5), ...TIMEOUT };

function spec(name: string, more: object = {}): object {
  return {
    targetRefs: [{ kind: "Service", name }],
    circuitBreaker: { consecutiveFailures: 5 },
    timeout: { request: "2s500ms" },
    ...more,
  };
}

/** A namespace of its own for each test, with the policy `p` for the Service `web`, which does not exist yet. */
async function namespaceWithPolicy(namespace: string, more: object = {}, mode = "enforce"): Promise<void> {
  await session.namespace(namespace, mode);
  await session.policy(namespace, "p", spec("web", more));
}

describe("injection happens in the write that reaches the webhook", () => {
  test("on create, with a patch of annotations and one label and nothing else", async () => {
    await namespaceWithPolicy("create");
    const { object, warnings } = await session.write("create -f -", service("create", "web"));
    expect(warnings).toEqual([]);
    expectCarries(object, { policy: "p", keys: KEYS });
    const [create, ...others] = await session.audited("create", "web");
    expect(others).toEqual([]);
    const patch = create?.patches["fairlead/0"];
    const record = annotationsOf(object)[RECORD];
    expect(patch).toEqual([
      { op: "add", path: "/metadata/annotations", value: { ...KEYS, [RECORD]: record } },
      { op: "add", path: "/metadata/labels", value: { [REVISION]: labelsOf(object)[REVISION] } },
    ]);
  });

  test("on create with generateName, for a policy that selects by label", async () => {
    await session.namespace("generated", "enforce");
    const targetSelector = { matchLabels: { team: "iam" } };
    await session.policy("generated", "p", spec("", { targetRefs: undefined, targetSelector }));
    const manifest = service("generated", "", { name: undefined, generateName: "web-", labels: { team: "iam" } });
    const { object, warnings } = await session.write("create -f -", manifest);
    expect(object.metadata?.name).toMatch(/^web-.{5}$/);
    expect(warnings).toEqual([]);
    expectCarries(object, { policy: "p", keys: KEYS });
  });

  test("on update, where the update makes the Service a target", async () => {
    await session.namespace("update", "enforce");
    const targetSelector = { matchLabels: { team: "iam" } };
    await session.policy("update", "p", spec("", { targetRefs: undefined, targetSelector }));
    const created = await session.write("create -f -", service("update", "web", { annotations: { a: "b/c~d" } }));
    expectClean(created.object, { a: "b/c~d" });
    await session.kubectl("label service web -n update team=iam");
    expectCarries(await session.service("update", "web"), { policy: "p", keys: KEYS, people: { a: "b/c~d" } });
    await session.kubectl("label service web -n update team-");
    expectClean(await session.service("update", "web"), { a: "b/c~d" });
    const writes = await session.audited("update", "web", 3);
    const paths = [...Object.keys(KEYS), RECORD].sort().map((key) => `/metadata/annotations/${key.replace("/", "~1")}`);
    paths.push("/metadata/labels/fairlead.dev~1revision");
    expect(writes.map((write) => write.patches["fairlead/0"]?.map(({ op, path }) => `${op} ${path}`))).toEqual([
      undefined,
      paths.map((path) => `add ${path}`),
      paths.map((path) => `remove ${path}`),
    ]);
  });

  test("kubectl replace with a manifest that knows nothing of our keys", async () => {
    await namespaceWithPolicy("replaced");
    await session.write("create -f -", service("replaced", "web"));
    const manifest = service("replaced", "web", { annotations: { note: "mine" } });
    const { object, warnings } = await session.write("replace -f -", manifest);
    expect(warnings).toEqual([]);
    expectCarries(object, { policy: "p", keys: KEYS, people: { note: "mine" } });
  });

  test("kubectl apply of the manifest, of a newer one and of the older one again", async () => {
    await namespaceWithPolicy("applied");
    const older = service("applied", "web");
    const newer = service("applied", "web", { annotations: { note: "mine" }, labels: { team: "iam" } });
    expectCarries((await session.write("apply -f -", older)).object, { policy: "p", keys: KEYS });
    expectCarries((await session.write("apply -f -", newer)).object, {
      policy: "p",
      keys: KEYS,
      people: { note: "mine" },
    });
    const { object, warnings } = await session.write("apply -f -", older);
    expect(warnings).toEqual([]);
    expectCarries(object, { policy: "p", keys: KEYS });
    expect(labelsOf(object)).not.toHaveProperty("team");
  });

  test("an unchanged apply sends nothing", async () => {
    await namespaceWithPolicy("unchanged");
    const manifest = service("unchanged", "web");
    await session.kubectl("apply -f -", manifest);
    const { code, stdout, stderr } = await session.run("apply -v=6 -f -", manifest);
    expect([code, stdout]).toEqual([0, "service/web unchanged\n"]);
    const verbs = [...stderr.matchAll(/verb="(\w+)"/g)].map((match) => match[1]);
    expect(new Set(verbs)).toEqual(new Set(["GET"]));
  });

  test("server-side apply by two managers meets no conflict, and one of them may take a key of ours over", async () => {
    await namespaceWithPolicy("serverside");
    const teamA = service("serverside", "web", { labels: { team: "a" } });
    const teamB = {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web", namespace: "serverside", annotations: { note: "b" } },
    };
    const apply = (manager: string, manifest: object): ReturnType<Session["write"]> =>
      session.write(`apply --server-side --field-manager ${manager} -f -`, manifest);
    expectCarries((await apply("a", teamA)).object, { policy: "p", keys: KEYS });
    for (const [manager, manifest] of [
      ["b", teamB],
      ["a", teamA],
      ["b", teamB],
    ] as const) {
      const { object, warnings } = await apply(manager, manifest);
      expect(warnings).toEqual([]);
      expectCarries(object, { policy: "p", keys: KEYS, people: { note: "b" } });
      expect(managersOf(object)).toEqual({ team: ["a"], note: ["b"] });
    }
    const taken = { "timeout.linkerd.io/request": "9s" };
    const { object, warnings } = await apply("b", {
      ...teamB,
      metadata: { name: "web", namespace: "serverside", annotations: taken },
    });
    expectCarries(object, { policy: "p", keys: breaker(5), people: taken });
    expect(managersOf(object)).toEqual({ team: ["a"], "timeout.linkerd.io/request": ["b"] });
    expect(warnings).toEqual([
      'FL502 timeout.linkerd.io/request: Kept "9s"; ResiliencePolicy p wants "2500ms"; remove it from the manifest, or set conflictResolution: Override',
    ]);
    // Given back: the manager owned it alone, so the API server drops it and the policy's value returns.
    expectCarries((await apply("b", teamB)).object, { policy: "p", keys: KEYS, people: { note: "b" } });
  });

  test("a dry run shows the keys and leaves nothing", async () => {
    await namespaceWithPolicy("dryrun");
    const manifest = service("dryrun", "web");
    const created = await session.write("create --dry-run=server -f -", manifest);
    expectCarries(created.object, { policy: "p", keys: KEYS });
    expect(await session.refused("get service web -n dryrun")).toBe(
      'Error from server (NotFound): services "web" not found\n',
    );
    await session.namespace("dryrun2", "enforce");
    await session.kubectl("create -f -", service("dryrun2", "web"));
    const before = await session.service("dryrun2", "web");
    const warnings = (await session.kubectl("apply --dry-run=server -f -", policy("dryrun2", "p", spec("web"))))
      .warnings;
    expect(warnings).toEqual([]);
    await session.settled("dryrun2");
    expect(await session.service("dryrun2", "web")).toEqual(before);
  });

  test("a patch never touches managedFields, and injected keys have no manager", async () => {
    await namespaceWithPolicy("managers");
    const { object } = await session.write(
      "create -f -",
      service("managers", "web", { annotations: { note: "mine" } }),
    );
    expect(managersOf(object)).toEqual({ note: ["kubectl-create"] });
    await session.policy("managers", "p", spec("web", { circuitBreaker: { consecutiveFailures: 9 } }));
    const resynced = await session.write("get service web -n managers");
    expectCarries(resynced.object, { policy: "p", keys: { ...breaker(9), ...TIMEOUT }, people: { note: "mine" } });
    expect(managersOf(resynced.object)).toEqual({ note: ["kubectl-create"], [REVISION]: ["fairlead"] });
    const applied = service("managers", "web", { annotations: { "timeout.linkerd.io/request": "9s" } });
    const team = await session.write("apply --server-side --field-manager team -f -", applied);
    expect(managersOf(team.object)["timeout.linkerd.io/request"]).toEqual(["team"]);
    const writes = (await session.audited("managers", "web", 3)).slice(0, 2);
    expect(writes.map(({ verb }) => verb)).toEqual(["create", "patch"]);
    for (const operation of writes.flatMap((write) => write.patches["fairlead/0"] ?? [])) {
      expect(operation.path).toMatch(/^\/metadata\/(annotations|labels)(\/|$)/);
    }
  });
});

describe("what was injected goes with its reason", () => {
  /** A Service with keys of the policy `p` and an annotation of its team. */
  async function injected(namespace: string, more: object = {}): Promise<void> {
    await namespaceWithPolicy(namespace, more);
    const { object } = await session.write(
      "create -f -",
      service(namespace, "web", { annotations: { note: "mine" }, labels: { team: "iam" } }),
    );
    expectCarries(object, { policy: "p", keys: KEYS, people: { note: "mine" } });
  }
  const people = { note: "mine" };

  test("circuitBreaker.enabled: false takes the breaker away", async () => {
    await injected("disabled");
    await session.policy("disabled", "p", spec("web", { circuitBreaker: { enabled: false } }));
    expectCarries(await session.service("disabled", "web"), { policy: "p", keys: TIMEOUT, people });
  });

  test("a section that is removed takes its keys away", async () => {
    await injected("section");
    await session.policy("section", "p", spec("web", { timeout: undefined }));
    expectCarries(await session.service("section", "web"), { policy: "p", keys: breaker(5), people });
  });

  test("a policy that is deleted leaves nothing behind, and the write is a label patch that the webhook completes", async () => {
    await injected("deleted");
    await session.deletePolicy("deleted", "p");
    const object = await session.service("deleted", "web");
    expectClean(object, people);
    expect(labelsOf(object)).toEqual({ team: "iam" });
    const [, removal, ...others] = await session.audited("deleted", "web", 2);
    expect(others).toEqual([]);
    expect([removal?.verb, removal?.patches["fairlead/0"]?.length]).toEqual(["patch", Object.keys(KEYS).length + 1]);
  });

  test("a policy that is aimed elsewhere leaves the old target and reaches the new one", async () => {
    await injected("retargeted");
    await session.kubectl("create -f -", service("retargeted", "other"));
    await session.policy("retargeted", "p", spec("other"));
    expectClean(await session.service("retargeted", "web"), people);
    expectCarries(await session.service("retargeted", "other"), { policy: "p", keys: KEYS });
  });

  test("a namespace that loses its label is cleaned by the controller itself", async () => {
    await injected("unlabelled");
    await session.mode("unlabelled", null);
    const object = await session.service("unlabelled", "web");
    expectClean(object, people);
    const [, removal, ...others] = await session.audited("unlabelled", "web", 2);
    expect(others).toEqual([]);
    expect(removal?.patches).toStrictEqual({});
    await session.mode("unlabelled", "enforce");
    expectCarries(await session.service("unlabelled", "web"), { policy: "p", keys: KEYS, people });
  });

  test("from enforce to audit everything stays, also without its policy; back in enforce it goes", async () => {
    await injected("audited");
    const before = await session.service("audited", "web");
    await session.mode("audited", "audit");
    await session.deletePolicy("audited", "p");
    expect(await session.service("audited", "web")).toEqual(before);
    await session.mode("audited", "enforce");
    expectClean(await session.service("audited", "web"), people);
  });

  test("the label fairlead.dev/inject: disabled takes it away in the same write, and gives it back", async () => {
    await injected("optout");
    await session.kubectl("label service web -n optout fairlead.dev/inject=disabled");
    expectClean(await session.service("optout", "web"), people);
    await session.kubectl("label service web -n optout fairlead.dev/inject-");
    expectCarries(await session.service("optout", "web"), { policy: "p", keys: KEYS, people });
    expect((await session.audited("optout", "web", 3)).map(({ verb }) => verb)).toEqual(["create", "patch", "patch"]);
  });

  test("the label fairlead.dev/revision written or removed by hand changes nothing", async () => {
    await injected("byhand");
    await session.kubectl("create -f -", service("byhand", "other"));
    for (const name of ["web", "other"]) {
      const before = await session.service("byhand", name);
      for (const change of ["=0123456789ab", "="]) {
        await session.kubectl(`label service ${name} -n byhand --overwrite ${REVISION}${change}`);
        const { metadata } = await session.service("byhand", name);
        expect([metadata?.labels, metadata?.annotations]).toEqual([
          before.metadata?.labels,
          before.metadata?.annotations,
        ]);
      }
    }
    await session.kubectl(`label service web -n byhand ${REVISION}-`);
    expectCarries(await session.service("byhand", "web"), { policy: "p", keys: KEYS, people });
    await session.settled("byhand");
    expect(await session.audited("byhand", "web", 4)).toHaveLength(4);
  });
});

describe("backup and restore", () => {
  for (const conflictResolution of ["PreferExisting", "Override"]) {
    test(`get -o yaml, delete, apply gives the same object under ${conflictResolution}`, async () => {
      const namespace = `restore-${conflictResolution.toLowerCase()}`;
      await namespaceWithPolicy(namespace, { conflictResolution });
      const annotations = { "timeout.linkerd.io/request": "9s", "timeout.linkerd.io/idle": "1h", note: "mine" };
      await session.kubectl("apply -f -", service(namespace, "web", { annotations }));
      const before = await session.service(namespace, "web");
      const backup = (await session.kubectl(`get service web -n ${namespace} -o yaml`)).stdout;
      await session.kubectl(`delete service web -n ${namespace}`);
      await session.kubectl("apply -f -", backup);
      await session.settled(namespace);
      const after = await session.service(namespace, "web");
      expect(ownAnnotations(after)).toEqual(ownAnnotations(before));
      expect(annotationsOf(after)[RECORD]).toBe(annotationsOf(before)[RECORD]);
      expect(labelsOf(after)).toEqual(labelsOf(before));
      await session.deletePolicy(namespace, "p");
      expectClean(await session.service(namespace, "web"), annotations);
    });
  }

  test("a backup of an earlier revision is a person's word: it is kept, with a warning, and not refused", async () => {
    await namespaceWithPolicy("old-backup");
    await session.kubectl("apply -f -", service("old-backup", "web"));
    const backup = (await session.kubectl("get service web -n old-backup -o yaml")).stdout;
    await session.policy("old-backup", "p", spec("web", { timeout: { request: "5s" } }));
    await session.kubectl("delete service web -n old-backup");
    const { warnings } = await session.kubectl("apply -f -", backup);
    expect(warnings).toEqual([
      'FL502 timeout.linkerd.io/request: Kept "2500ms"; ResiliencePolicy p wants "5000ms"; remove it from the manifest, or set conflictResolution: Override',
    ]);
    await session.settled("old-backup");
    expectCarries(await session.service("old-backup", "web"), { policy: "p", keys: breaker(5), people: TIMEOUT });
  });
});

describe("a policy and its Service may come in any order", () => {
  for (const order of [
    ["service", "policy"],
    ["policy", "service"],
  ]) {
    test(`kubectl apply -f dir/ with the ${order[0]} first`, async () => {
      const namespace = `order-${order[0]}`;
      await session.namespace(namespace, "enforce");
      const manifests = { service: service(namespace, "web"), policy: policy(namespace, "p", spec("web")) };
      const directory = join(session.directory, namespace);
      await mkdir(directory);
      for (const [index, name] of order.entries()) {
        await writeFile(join(directory, `${index}.json`), JSON.stringify(manifests[name as keyof typeof manifests]));
      }
      const { warnings } = await session.kubectl(`apply -f ${directory}/`);
      const missing = `FL301 spec.targetRefs[0]: Service ${namespace}/web does not exist yet; create it, or correct the name; the policy applies as soon as it exists`;
      expect(warnings).toEqual(order[0] === "policy" ? [missing] : []);
      await session.settled(namespace);
      expectCarries(await session.service(namespace, "web"), { policy: "p", keys: KEYS });
      expect((await session.kubectl(`apply -f ${directory}/`)).stdout.match(/unchanged/g)).toHaveLength(2);
    });
  }
});

describe("routes", () => {
  const GATEWAY = "gateway.networking.k8s.io";
  const LINKERD = "policy.linkerd.io";
  const parentRefs = [{ group: "", kind: "Service", name: "web", port: 80 }];
  const HTTP = { "retry.linkerd.io/http": "503", "retry.linkerd.io/limit": "2" };
  const GRPC = { "retry.linkerd.io/grpc": "unavailable", "retry.linkerd.io/limit": "2" };
  const CASES = [
    {
      apiVersion: `${GATEWAY}/v1`,
      kind: "HTTPRoute",
      resource: `httproutes.${GATEWAY}`,
      keys: { ...HTTP, ...TIMEOUT },
    },
    {
      apiVersion: `${GATEWAY}/v1`,
      kind: "GRPCRoute",
      resource: `grpcroutes.${GATEWAY}`,
      keys: { ...GRPC, ...TIMEOUT },
    },
    {
      apiVersion: `${LINKERD}/v1beta2`,
      kind: "HTTPRoute",
      resource: `httproutes.${LINKERD}`,
      keys: { ...HTTP, ...TIMEOUT },
    },
  ];

  test("of each kind get what Linkerd reads from them, before and after the policy, and lose it with the policy", async () => {
    await session.namespace("routes", "enforce");
    const targetRefs = CASES.map(({ apiVersion, kind }) => ({ group: apiVersion.split("/")[0], kind, name: "web" }));
    const retry = { maxAttempts: 2, statusCodes: ["503"], grpcCodes: ["unavailable"] };
    const routes = { targetRefs, retry, timeout: { request: "2s500ms" } };
    const route = (apiVersion: string, kind: string): object => {
      return { apiVersion, kind, metadata: { name: "web", namespace: "routes" }, spec: { parentRefs } };
    };
    await session.policy("routes", "p", routes);
    for (const { apiVersion, kind, resource, keys } of CASES) {
      const { object, warnings } = await session.write("create -f -", route(apiVersion, kind));
      expect(warnings).toEqual([]);
      expectCarries(object, { policy: "p", keys });
      expect(managersOf(object)).toEqual({});
      await session.settled("routes");
      expect((await session.live(resource, "routes", "web")).metadata?.resourceVersion).toBe(
        object.metadata?.resourceVersion,
      );
    }
    await session.deletePolicy("routes", "p");
    for (const { resource } of CASES) expectClean(await session.live(resource, "routes", "web"));
    const warnings = await session.policy("routes", "p", routes);
    expect(warnings).toEqual([
      "FL311 spec.retry.grpcCodes: Linkerd does not read grpcCodes from an HTTPRoute; remove grpcCodes, or target the Service",
      "FL311 spec.retry.statusCodes: Linkerd does not read statusCodes from a GRPCRoute; remove statusCodes, or target the Service",
    ]);
    for (const { resource, keys } of CASES)
      expectCarries(await session.live(resource, "routes", "web"), { policy: "p", keys });
  });

  test("without a Service as parent get nothing, and the policy says why", async () => {
    await session.namespace("gateways", "enforce");
    const metadata = { name: "web", namespace: "gateways" };
    const route = {
      apiVersion: `${GATEWAY}/v1`,
      kind: "HTTPRoute",
      metadata,
      spec: { parentRefs: [{ name: "gateway" }] },
    };
    expectClean((await session.write("create -f -", route)).object);
    await session.settled("gateways");
    const targetRefs = [{ group: GATEWAY, kind: "HTTPRoute", name: "web" }];
    const warnings = await session.policy("gateways", "p", { targetRefs, timeout: { request: "2s500ms" } });
    expect(warnings).toEqual([
      'FL306 spec.targetRefs[0]: HTTPRoute web: No parentRef names a Service with kind: Service and group: ""; Linkerd reads no annotations here; add a parentRef with kind: Service and group: ""',
    ]);
    expectClean(await session.live(`httproutes.${GATEWAY}`, "gateways", "web"));
  });
});

describe("somebody else's mutating webhook in between", () => {
  /** Registers the webhook and waits until the API server asks it. */
  async function foreign(namespace: string, name: string, map: "annotations" | "labels"): Promise<ForeignWebhook> {
    const add: PatchOperation = { op: "add", path: `/metadata/${map}/team`, value: "iam" };
    const mutate: ForeignWebhookOptions["mutate"] = ({ metadata }) =>
      metadata?.[map]?.["team"] === "iam"
        ? []
        : [...(metadata?.[map] ? [] : [{ ...add, path: `/metadata/${map}`, value: {} }]), add];
    const webhook = await ForeignWebhook.start({ name, namespace, mutate });
    await session.kubectl("apply -f -", webhook.configuration);
    await waitFor(`webhook ${name}`, async () => {
      const { object } = await session.write("create --dry-run=server -f -", service(namespace, "probe"));
      return object.metadata?.[map]?.["team"] === "iam";
    });
    return webhook;
  }

  for (const name of ["aaa", "zzz"]) {
    test(`that is asked ${name === "aaa" ? "before" : "after"} Fairlead: the same result, settled after one write`, async () => {
      const namespace = `foreign-${name}`;
      await namespaceWithPolicy(namespace);
      const webhook = await foreign(namespace, name, "annotations");
      try {
        const { object, warnings } = await session.write("create -f -", service(namespace, "web"));
        expect(warnings).toEqual([]);
        expectCarries(object, { policy: "p", keys: KEYS, people: { team: "iam" } });
        await session.settled(namespace);
        const writes = await session.audited(namespace, "web");
        expect(writes).toHaveLength(1);
        const paths = Object.entries(writes[0]?.patches ?? {}).map(([call, patch]) => [call, patch?.length]);
        expect(Object.fromEntries(paths)).toStrictEqual(
          name === "aaa"
            ? { "aaa/0": 2, "fairlead/0": Object.keys(KEYS).length + 2, "aaa/1": undefined }
            : { "fairlead/0": 2, "zzz/0": 1, "fairlead/1": undefined },
        );
      } finally {
        await session.kubectl(`delete mutatingwebhookconfiguration ${name}`);
        await webhook.stop();
      }
    });
  }

  test("that makes the Service a target after Fairlead was asked: Fairlead is asked again and injects", async () => {
    await session.namespace("foreign-label", "enforce");
    const targetSelector = { matchLabels: { team: "iam" } };
    await session.policy("foreign-label", "p", spec("", { targetRefs: undefined, targetSelector }));
    const webhook = await foreign("foreign-label", "zzz", "labels");
    try {
      const { object } = await session.write("create -f -", service("foreign-label", "web"));
      expectCarries(object, { policy: "p", keys: KEYS });
      await session.settled("foreign-label");
      const [write, ...others] = await session.audited("foreign-label", "web");
      expect(others).toEqual([]);
      expect(write?.patches["fairlead/0"]).toBeUndefined();
      expect(write?.patches["fairlead/1"]).toHaveLength(2);
    } finally {
      await session.kubectl("delete mutatingwebhookconfiguration zzz");
      await webhook.stop();
    }
  });
});
