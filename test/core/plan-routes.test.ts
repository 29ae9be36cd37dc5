import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { planRoutes } from "../../src/core/routes/plan-routes.ts";
import { FakeRoutes } from "./fake-routes.ts";
import { namespace, policy, service, worldOf } from "./worlds.ts";

const READS = { name: "reads", matches: [{ method: "GET" }], timeout: { idle: "1s" } };
const SLOW = { name: "slow", matches: [{ path: { value: "/report" } }], timeout: { request: "9s" } };
const UID = { uid: "u-1" };
const REST = "user-service-user-service-fairlead-rest";
const ofEntry = (entry: string) => `user-service-user-service-${entry}`;

interface Case {
  readonly policy?: KubernetesObject;
  readonly live?: readonly KubernetesObject[] | undefined;
  readonly mode?: string | undefined;
  readonly objects?: readonly KubernetesObject[];
}

function plan(made: Case) {
  const { policy: object = policy({ routes: [SLOW, READS] }, UID), objects = [service()] } = made;
  const mode = "mode" in made ? made.mode : "enforce";
  const live = "live" in made ? made.live : [];
  const dying = Boolean(object.metadata?.deletionTimestamp);
  const world = worldOf([namespace(mode), ...objects, ...(live ?? []), ...(dying ? [] : [object])]);
  return planRoutes({ policy: object, compiled: world.policiesIn("iam")[0], live, world });
}

/** `apply name` and `delete name`, in their order. */
function steps(made: Case): readonly string[] {
  return plan(made).actions.map((action) => ("ref" in action ? `${action.kind} ${action.ref.name}` : action.kind));
}

function settled(): FakeRoutes {
  const routes = new FakeRoutes();
  for (const action of plan({}).actions) routes.execute(action);
  return routes;
}

function edited(name: string, edit: (route: KubernetesObject) => KubernetesObject): readonly KubernetesObject[] {
  return settled().list.map((route) => (route.metadata?.name === name ? edit(route) : route));
}

function withMetadata(metadata: object): (route: KubernetesObject) => KubernetesObject {
  return (route) => ({ ...route, metadata: { ...route.metadata, ...metadata } });
}

describe("planRoutes()", () => {
  test("makes the route that takes the rest before every other", () => {
    expect(steps({})).toEqual([`apply ${REST}`, `apply ${ofEntry("reads")}`, `apply ${ofEntry("slow")}`]);
    expect(plan({}).actions[0]).toEqual({
      kind: "apply",
      ref: { group: "gateway.networking.k8s.io", resource: "httproutes", namespace: "iam", name: REST },
      service: "user-service",
      object: expect.objectContaining({ kind: "HTTPRoute" }),
      resourceVersion: undefined,
    });
  });

  test("plans nothing where all is as it should be, with the API server's defaults and what others added", () => {
    const live = edited(REST, (route) => ({
      ...withMetadata({
        annotations: { ...route.metadata?.annotations, "example.com/a": "b" },
        labels: { ...route.metadata?.labels, team: "iam" },
      })(route),
      status: { parents: [] },
    }));
    expect(plan({ live })).toEqual({ actions: [], findings: [] });
  });

  test.each<readonly [string, (route: KubernetesObject) => KubernetesObject]>([
    [
      "a value",
      (route) =>
        withMetadata({ annotations: { ...route.metadata?.annotations, "timeout.linkerd.io/idle": "2s" } })(route),
    ],
    ["an annotation that is gone", withMetadata({ annotations: {} })],
    ["a backend", (route) => ({ ...route, spec: JSON.parse(JSON.stringify(route.spec).replaceAll("8080", "9090")) })],
    [
      "a match that became narrower",
      (route) => ({
        ...route,
        spec: JSON.parse(
          JSON.stringify(route.spec).replace('"method"', '"headers":[{"name":"a","value":"b"}],"method"'),
        ),
      }),
    ],
    [
      "a second rule",
      (route) => ({
        ...route,
        spec: { ...(route.spec as object), rules: [...(route.spec as { rules: [] }).rules, {}] },
      }),
    ],
  ])("repairs %s, in the version that was read", (_, edit) => {
    const live = edited(ofEntry("reads"), edit);
    expect(plan({ live }).actions).toMatchObject([
      { kind: "apply", ref: { name: ofEntry("reads") }, resourceVersion: "2", repairs: true },
    ]);
  });

  test("a route of another spec is written anew, and that is nobody's repair", () => {
    const ofAnotherSpec = withMetadata({ annotations: { "fairlead.dev/generated": "x" } });
    const [action, ...more] = plan({ live: edited(ofEntry("reads"), ofAnotherSpec) }).actions;
    expect(more).toEqual([]);
    expect(action).not.toHaveProperty("repairs");
  });

  test("applies again when a setting is no longer wanted, which no remaining value shows", () => {
    const routes = new FakeRoutes();
    const before = policy({ routes: [{ ...READS, timeout: { idle: "1s", request: "9s" } }] }, UID);
    for (const action of plan({ policy: before }).actions) routes.execute(action);
    const after = policy({ routes: [READS] }, UID);
    expect(steps({ policy: after, live: routes.list })).toEqual([`apply ${ofEntry("reads")}`]);
  });

  test("deletes what is no longer wanted, the route that takes the rest last", () => {
    const live = settled().list;
    expect(steps({ live, policy: policy({ routes: [READS] }, UID) })).toEqual([`delete ${ofEntry("slow")}`]);
    const all = [`delete ${ofEntry("reads")}`, `delete ${ofEntry("slow")}`, `delete ${REST}`];
    expect(steps({ live, policy: policy({ timeout: { idle: "1s" } }, UID) })).toEqual(all);
    expect(steps({ live, objects: [] })).toEqual(all);
    expect(steps({ live, mode: undefined })).toEqual(all);
    expect(
      steps({ live, policy: policy({ routes: [READS] }, { ...UID, deletionTimestamp: "2026-01-01T00:00:00Z" }) }),
    ).toEqual(all);
    expect(plan({ live, objects: [] }).actions[2]).toEqual({
      kind: "delete",
      ref: { group: "gateway.networking.k8s.io", resource: "httproutes", namespace: "iam", name: REST },
      uid: `uid-of-${REST}`,
      resourceVersion: "1",
    });
  });

  test("touches nothing in audit mode, in excluded namespaces, for a policy that is not stored or not readable", () => {
    const live = settled().list;
    expect(plan({ mode: "audit" }).actions).toEqual([]);
    expect(plan({ mode: "audit", live, policy: policy({ timeout: { idle: "1s" } }, UID) }).actions).toEqual([]);
    expect(plan({ policy: policy({ routes: [READS] }) }).actions).toEqual([]);
    const world = worldOf([namespace("enforce"), service()], { excludedNamespaces: new Set(["iam"]) });
    expect(planRoutes({ policy: policy({}, UID), compiled: undefined, live, world }).actions).toEqual([]);
    const unreadable = worldOf([namespace("enforce"), service()]);
    expect(planRoutes({ policy: policy({}, UID), compiled: undefined, live, world: unreadable }).actions).toEqual([]);
  });

  test("waits for the settings of this policy where those of a namesake are still in force", () => {
    const world = worldOf([namespace("enforce"), service(), policy({ routes: [READS] }, { uid: "u-0" })]);
    const compiled = world.policiesIn("iam")[0];
    expect(compiled?.uid).toBe("u-0");
    expect(planRoutes({ policy: policy({}, UID), compiled, live: [], world })).toEqual({ actions: [], findings: [] });
  });

  test("leaves alone what is not of this policy: copies, other policies, Linkerd's own HTTPRoutes", () => {
    const objects: readonly KubernetesObject[] = [];
    const [copy] = edited(REST, withMetadata({ ownerReferences: [] }));
    const [theirs] = edited(REST, withMetadata({ labels: { "app.kubernetes.io/managed-by": "Helm" } }));
    const linkerds = { ...settled().list[0], apiVersion: "policy.linkerd.io/v1beta3" };
    const [namesake] = edited(REST, (route) =>
      withMetadata({ ownerReferences: [{ ...route.metadata?.ownerReferences?.[0], uid: "u-0" }] })(route),
    );
    for (const route of [copy, theirs, linkerds, namesake]) {
      expect(steps({ objects, live: route === undefined ? [] : [route] })).toEqual([]);
    }
  });

  test("waits with a Service whose route of that name still goes away", () => {
    const dying = withMetadata({ deletionTimestamp: "2026-01-01T00:00:00Z" });
    expect(steps({ live: settled().list.map(dying) })).toEqual([]);
    const ofNamesake = edited(REST, (route) =>
      withMetadata({ ownerReferences: [{ ...route.metadata?.ownerReferences?.[0], uid: "u-0" }] })(route),
    ).slice(0, 1);
    expect(plan({ live: ofNamesake })).toEqual({ actions: [], findings: [] });
  });

  test("says that a name is taken, and overwrites nothing", () => {
    const taken = edited(ofEntry("slow"), ({ metadata: { name } = {}, ...route }) => ({
      ...route,
      metadata: { namespace: "iam", ...(name !== undefined && { name }) },
      spec: {},
    }));
    const { actions, findings } = plan({ live: taken.slice(2) });
    expect(actions).toEqual([]);
    expect(findings.map(({ code }) => code)).toEqual(["FL318"]);
  });

  test("takes the routes back when somebody attaches another one", () => {
    const mine = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "mine", namespace: "iam" },
      spec: { parentRefs: [{ group: "", kind: "Service", name: "user-service" }] },
    };
    const made = { live: [...settled().list, mine] };
    expect(steps(made)).toEqual([`delete ${ofEntry("reads")}`, `delete ${ofEntry("slow")}`, `delete ${REST}`]);
    expect(plan(made).findings.map(({ code }) => code)).toEqual(["FL315"]);
  });

  test("says so where the API server serves no HTTPRoutes, and plans nothing", () => {
    expect(plan({ live: undefined })).toEqual({
      actions: [],
      findings: [
        {
          code: "FL319",
          severity: "warn",
          path: "spec.routes",
          message: "The API server serves no HTTPRoute of gateway.networking.k8s.io, so the section has no effect",
          fix: "install the CRDs of the Gateway API",
        },
      ],
    });
    expect(plan({ live: undefined, policy: policy({ timeout: { idle: "1s" } }, UID) }).findings).toEqual([]);
  });
});
