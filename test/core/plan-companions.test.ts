import { describe, expect, test } from "vitest";
import type { Action } from "../../src/core/action.ts";
import { planCompanions } from "../../src/core/companions/plan-companions.ts";
import { planOwned } from "../../src/core/companions/plan-owned.ts";
import { revisionOf } from "../../src/core/intent/revision.ts";
import type { KubernetesObject, StringMap } from "../../src/core/kubernetes.ts";
import { atOnce } from "./at-once.ts";
import { namespace, policy, service, worldOf } from "./worlds.ts";

const UID = { uid: "u-1", creationTimestamp: "2026-01-01T00:00:00Z" };
const BOTH = { circuitBreaker: {}, timeout: { request: "1s" } };
const NAME = "fairlead-user-service";
const RULE = `destinationrules/${NAME}`;
const VIRTUAL = `virtualservices/${NAME}`;
const LABELS = { "istio-injection": "enabled" };

interface Case {
  readonly policies?: readonly KubernetesObject[];
  /** Whose turn it is; the first of the policies unless told. */
  readonly turn?: KubernetesObject;
  readonly live?: readonly KubernetesObject[];
  readonly mode?: string | undefined;
  readonly labels?: Readonly<Record<string, string>>;
  readonly objects?: readonly KubernetesObject[];
  readonly served?: boolean;
}

function plan(made: Case) {
  const { policies = [policy(BOTH, UID)], live = [], labels = LABELS, objects = [service()], served = true } = made;
  const mode = "mode" in made ? made.mode : "enforce";
  const alive = policies.filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
  const world = worldOf([namespace(mode, { labels }), ...objects, ...live, ...alive]);
  const turn = made.turn ?? policies[0] ?? {};
  const compiled = world.policiesIn("iam").find(({ uid }) => uid === turn.metadata?.uid);
  return atOnce(planCompanions({ policy: turn, compiled, live, serves: () => served, world }));
}

/** `apply virtualservices/name`, in their order. */
function steps(made: Case): readonly string[] {
  return plan(made).actions.map((action) =>
    "ref" in action ? `${action.kind} ${action.ref.resource}/${action.ref.name}` : action.kind,
  );
}

/** What stands in the cluster once a plan was carried out. */
function after(actions: readonly Action[]): readonly KubernetesObject[] {
  return actions.flatMap((action) =>
    action.kind === "apply"
      ? [{ ...action.object, metadata: { ...action.object.metadata, uid: action.ref.name, resourceVersion: "1" } }]
      : [],
  );
}

/** The same objects, created then. */
function born(creationTimestamp: string, objects: readonly KubernetesObject[]): readonly KubernetesObject[] {
  return objects.map((object) => ({ ...object, metadata: { ...object.metadata, creationTimestamp } }));
}

const settled = (made: Case = {}): readonly KubernetesObject[] => after(plan(made).actions);
const dying = { ...UID, deletionTimestamp: "2026-02-01T00:00:00Z" };
const younger = policy({ retry: { maxAttempts: 0 } }, { name: "younger", uid: "u-2" });

describe("planCompanions()", () => {
  test("writes the DestinationRule before the VirtualService, and takes them away the other way round", () => {
    expect(steps({})).toEqual([`apply ${RULE}`, `apply ${VIRTUAL}`]);
    const gone = [`delete ${VIRTUAL}`, `delete ${RULE}`];
    expect(steps({ live: settled(), policies: [policy(BOTH, dying)] })).toEqual(gone);
    expect(steps({ live: settled(), mode: undefined })).toEqual(gone);
    expect(steps({ live: settled(), objects: [service(undefined, { "fairlead.dev/inject": "disabled" })] })).toEqual(
      gone,
    );
    expect(steps({ live: settled(), objects: [] })).toEqual(gone);
  });

  test("plans nothing where all is as it should be, with what others added, in audit mode, and for a stranger", () => {
    const live = settled().map((object) => ({
      ...object,
      metadata: { ...object.metadata, labels: { ...object.metadata?.labels, team: "iam" } },
    }));
    expect(plan({ live })).toEqual({ actions: [], findings: [] });
    expect(steps({ mode: "audit" })).toEqual([]);
    expect(steps({ live: settled(), mode: "audit", policies: [policy(BOTH, dying)] })).toEqual([]);
    expect(steps({ turn: policy(BOTH, { uid: "another" }) })).toEqual([]);
  });

  test("what somebody changed is a repair; what policies change, and who owns it, is none", () => {
    const without = settled().map((object) => ({ ...object, spec: {} }));
    expect(plan({ live: without }).actions).toMatchObject([{ repairs: true }, { repairs: true }]);
    const other = policy({ ...BOTH, timeout: { request: "2s" } }, UID);
    const unowned = settled().map((object) => ({ ...object, metadata: { ...object.metadata, ownerReferences: [] } }));
    const again = policy(BOTH, { ...UID, uid: "u-9" });
    for (const made of [
      {},
      { live: settled(), policies: [other] },
      { live: unowned },
      { live: settled(), policies: [again] },
    ]) {
      const { actions } = plan(made);
      expect(actions.length).toBeGreaterThan(0);
      for (const action of actions) expect(action).not.toHaveProperty("repairs");
    }
  });

  test("takes away what a section leaves behind, and follows a change", () => {
    const live = settled();
    expect(steps({ live, policies: [policy({ circuitBreaker: {} }, UID)] })).toEqual([`delete ${VIRTUAL}`]);
    expect(steps({ live, policies: [policy({ ...BOTH, timeout: { request: "2s" } }, UID)] })).toEqual([
      `apply ${VIRTUAL}`,
    ]);
    expect(
      steps({ live, policies: [policy({ targetRefs: [{ kind: "Service", name: "cart" }], ...BOTH }, UID)] }),
    ).toEqual([`delete ${VIRTUAL}`, `delete ${RULE}`]);
  });

  test.each<readonly [string, (object: KubernetesObject) => KubernetesObject]>([
    ["a value", (object) => ({ ...object, spec: { ...(object.spec as object), hosts: [], host: "" } })],
    ["the hash", (object) => ({ ...object, metadata: { ...object.metadata, annotations: {} } })],
    ["an owner", (object) => ({ ...object, metadata: { ...object.metadata, ownerReferences: [] } })],
  ])("puts back %s", (_what, edit) => {
    expect(steps({ live: settled().map(edit) })).toEqual([`apply ${RULE}`, `apply ${VIRTUAL}`]);
  });

  test("an object with sections of two policies is one for both, and stays for the other when one goes", () => {
    const policies = [policy(BOTH, UID), younger];
    const live = settled({ policies });
    const owners = live.map(({ metadata }) => metadata?.ownerReferences?.map(({ uid }) => uid));
    expect(owners).toEqual([["u-1"], ["u-1", "u-2"]]);
    expect(steps({ policies, live, turn: younger })).toEqual([]);
    const left = steps({ policies: [policy(BOTH, dying), younger], live });
    expect(left).toEqual([`apply ${VIRTUAL}`, `delete ${RULE}`]);
  });

  test("who may not come in stays out when the Service becomes one that nothing can be written for", () => {
    const pods = (targetPort: number | string, spec: object = {}): KubernetesObject => ({
      ...service(),
      spec: { selector: { app: "a" }, ports: [{ name: "http", port: 80, targetPort }], ...spec },
    });
    const access = {
      rateLimit: { requestsPerSecond: 9 },
      mtls: { mode: "Strict" },
      authorization: { allow: [{ from: { namespaces: ["front"] } }], deny: [{ to: { methods: ["PUT"] } }] },
    };
    const policies = [policy(access, UID)];
    const objects = [pods(8080)];
    expect(steps({ policies, objects })).toEqual([
      `apply peerauthentications/${NAME}`,
      `apply authorizationpolicies/${NAME}.deny`,
      `apply authorizationpolicies/${NAME}`,
      `apply envoyfilters/${NAME}`,
    ]);
    const live = settled({ policies, objects });
    const limit = [`delete envoyfilters/${NAME}`];
    for (const other of [pods(8080, { selector: {} }), pods(8080, { clusterIP: "None" })])
      expect(steps({ policies, live, objects: [other] })).toEqual(limit);
    expect(steps({ policies, live, objects: [pods("web")] })).toEqual([]);
    const allowed = [policy({ ...access, authorization: { allow: access.authorization.allow } }, UID)];
    expect(steps({ policies: allowed, live, objects })).toEqual([`delete authorizationpolicies/${NAME}.deny`]);
    expect(steps({ policies: [policy(access, dying)], live, objects: [pods("web")] })).toHaveLength(4);
  });

  test("who may not come in stays out when people add an object that goes before ours", () => {
    const web = {
      ...service(),
      spec: { selector: { app: "a" }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
    };
    const allow = [{ from: { namespaces: ["front"] } }];
    const policies = [policy({ mtls: { mode: "Strict" }, authorization: { allow } }, UID)];
    const ours = born("2026-01-02", settled({ policies, objects: [web] }));
    const older = (kind: string, labels: StringMap, spec: object = {}): KubernetesObject => ({
      apiVersion: "security.istio.io/v1",
      kind,
      metadata: { name: "mine", namespace: "iam", creationTimestamp: "2026-01-01" },
      spec: { selector: { matchLabels: labels }, ...spec },
    });
    const theirs = [
      older("AuthorizationPolicy", { app: "a", v: "2" }, { action: "ALLOW" }),
      older("PeerAuthentication", { app: "a" }),
    ];
    const made = plan({ policies, objects: [web], live: [...ours, ...theirs] });
    expect(made.actions).toEqual([]);
    expect(made.findings).toMatchObject([
      { code: "FL320", path: "spec.authorization" },
      { code: "FL320", path: "spec.mtls" },
    ]);
  });

  test("what waits for the garbage collector is neither written nor deleted", () => {
    const live = settled().map((object) => ({
      ...object,
      metadata: { ...object.metadata, deletionTimestamp: "2026-02-01T00:00:00Z" },
    }));
    expect(steps({ live, policies: [policy({ ...BOTH, circuitBreaker: { enabled: false } }, UID)] })).toEqual([]);
  });

  test("a Service that has none and gets none is not planned as a target as well", () => {
    const stored = policy(BOTH, UID);
    const world = worldOf([namespace("enforce"), service(), stored]);
    const policies = world.policiesIn("iam");
    let looks = 0;
    const counted = Object.assign(world, { policiesIn: () => ((looks += 1), policies) });
    const input = { policy: stored, compiled: policies[0], live: [], serves: () => true, world: counted };
    expect(atOnce(planCompanions(input)).actions).toEqual([]);
    expect(looks).toBe(1);
  });

  test("a namespace that changes to Linkerd keeps them until the annotations are there", () => {
    const labels = {};
    expect(steps({ live: settled(), labels })).toEqual([]);
    const optedOut = service({ "fairlead.dev/injected": "{}" }, { "fairlead.dev/inject": "disabled" });
    expect(steps({ live: settled(), labels, objects: [optedOut] })).toEqual([`delete ${VIRTUAL}`, `delete ${RULE}`]);
  });

  test("of a namespace that changes to Linkerd nobody stands open: Istio's objects wait for what takes their place", () => {
    const web = { ...service(), spec: { selector: { app: "a" }, ports: [{ port: 8080 }] } };
    const [mtls, labels, objects] = [{ mtls: { mode: "Strict" } }, {}, [web]];
    const all = [policy({ ...BOTH, ...mtls }, UID)];
    const live = settled({ policies: all, objects });
    expect(live).toHaveLength(3);
    const server = `apply servers/${NAME}.8080`;
    expect(steps({ policies: all, live, labels, objects })).toEqual([server]);
    const gone = { ...web, metadata: { ...web.metadata, deletionTimestamp: "2026-02-01T00:00:00Z" } };
    expect(steps({ policies: all, live, labels, objects: [gone] })).toHaveLength(3);
    const policies = [policy(mtls, UID)];
    const guard = settled({ policies, objects });
    const alone = { policies, live: guard, labels, objects };
    expect(steps(alone)).toEqual([server, `delete peerauthentications/${NAME}`]);
    expect(plan({ ...alone, served: false })).toMatchObject({ actions: [], findings: [{ code: "FL319" }] });
    const metadata = { name: "mine", namespace: "iam" };
    const theirs = {
      apiVersion: "policy.linkerd.io/v1beta3",
      kind: "Server",
      metadata,
      spec: { podSelector: {}, port: 8080 },
    };
    expect(steps({ ...alone, live: [...guard, theirs] })).toEqual([]);
    const back = settled(alone);
    expect(steps({ policies, live: back, objects })).toEqual([
      `apply peerauthentications/${NAME}`,
      `delete servers/${NAME}.8080`,
    ]);
  });

  test("a namespace that changes to Istio loses its generated routes after it has Istio's objects", () => {
    const routes = [{ name: "reads", matches: [{ method: "GET" }], timeout: { request: "1s" } }];
    const divided = policy({ ...BOTH, routes }, UID);
    const planIn = (annotations: StringMap, labels: StringMap, live: readonly KubernetesObject[]) => {
      const world = worldOf([namespace("enforce", { labels, annotations }), service(), divided, ...live]);
      const [compiled] = world.policiesIn("iam");
      return atOnce(planOwned({ policy: divided, compiled, live: [], routes: live, serves: () => true, world }))
        .actions;
    };
    const made = after(planIn({ "linkerd.io/inject": "enabled" }, {}, []));
    // The version that the API server serves is found out when they are written.
    const live = made.map((route) => ({ ...route, apiVersion: "gateway.networking.k8s.io/v1" }));
    expect(live.map(({ kind }) => kind)).toEqual(["HTTPRoute", "HTTPRoute"]);
    const moved = planIn({}, LABELS, live);
    expect(moved.map((action) => "ref" in action && `${action.kind} ${action.ref.resource}`)).toEqual([
      "apply destinationrules",
      "apply virtualservices",
      "delete httproutes",
      "delete httproutes",
    ]);
  });

  test("a name that is taken, a kind that is not served and a rival are told, and nothing is overwritten", () => {
    const theirs = { apiVersion: "networking.istio.io/v1", kind: "VirtualService", spec: { hosts: ["cart"] } };
    const taken = plan({ live: [{ ...theirs, metadata: { name: NAME, namespace: "iam" } }] });
    expect(taken.actions.map((action) => "ref" in action && action.ref.resource)).toEqual(["destinationrules"]);
    expect(taken.findings).toMatchObject([{ code: "FL318", path: "spec.timeout" }]);
    expect(plan({ served: false })).toMatchObject({ actions: [], findings: [{ code: "FL319" }, { code: "FL319" }] });
    const rival = { ...theirs, metadata: { name: "mine", namespace: "iam" }, spec: { hosts: ["user-service"] } };
    const live = [...settled(), rival];
    expect(steps({ live })).toEqual([`delete ${VIRTUAL}`]);
    expect(plan({ live }).findings).toMatchObject([{ code: "FL320", path: "spec.timeout" }]);
  });
});

describe("what Linkerd reads beside a Service", () => {
  const users = { ...service(), spec: { selector: { app: "users" }, ports: [{ port: 8080 }] } };
  const allow = [{ from: { namespaces: ["ops"], cidrs: ["10.0.0.0/8"] } }];
  const spec = { rateLimit: { requestsPerSecond: 9 }, authorization: { allow } };
  const base: Case = { policies: [policy(spec, UID)], labels: {}, objects: [users] };
  const grant = revisionOf({
    meshTls: { identityRefs: [{ group: "core", kind: "Namespace", name: "ops" }] },
    network: { networks: [{ cidr: "10.0.0.0/8" }] },
  });
  const [mesh, network] = [`meshtlsauthentications/${NAME}.${grant}`, `networkauthentications/${NAME}.${grant}`];
  const access = `authorizationpolicies/${NAME}.8080.${grant}`;
  const [server, limit] = [`servers/${NAME}.8080`, `httplocalratelimitpolicies/${NAME}.8080`];
  const all = [mesh, network, access, server, limit];

  /** One of people. */
  function serverOf(port: number, creationTimestamp: string): KubernetesObject {
    const metadata = { name: "mine", namespace: "iam", creationTimestamp };
    const podSelector = { matchLabels: { app: "users" } };
    return { apiVersion: "policy.linkerd.io/v1beta3", kind: "Server", metadata, spec: { podSelector, port } };
  }

  test("whom a port lets in is written before the port lets in nobody else, and taken away after it", () => {
    expect(steps(base)).toEqual(all.map((name) => `apply ${name}`));
    const gone = { ...base, live: settled(base), policies: [policy(spec, dying)] };
    expect(steps(gone)).toEqual([limit, server, access, mesh, network].map((name) => `delete ${name}`));
    expect(steps({ ...base, live: settled(base) })).toEqual([]);
  });

  test("a list that ends lets everybody in before its objects go", () => {
    const open = { ...base, live: settled(base), policies: [policy({ mtls: { mode: "Permissive" } }, UID)] };
    const gone = [limit, access, mesh, network].map((name) => `delete ${name}`);
    expect(steps(open)).toEqual([`apply ${server}`, ...gone]);
  });

  test("where one of them cannot be written, none is, and none that is there is taken away", () => {
    const kept = settled(base);
    const name = `${NAME}.${grant}`;
    const metadata = { name, namespace: "iam" };
    const theirs = { apiVersion: "policy.linkerd.io/v1alpha1", kind: "MeshTLSAuthentication", metadata, spec: {} };
    const others = kept.filter((object) => object.kind !== theirs.kind);
    for (const live of [[theirs], [theirs, ...others]]) {
      const made = plan({ ...base, live });
      expect(made.actions).toEqual([]);
      expect(made.findings).toMatchObject([{ code: "FL318", path: "spec.authorization" }]);
    }
  });

  test.each([
    ["younger", "2026-01-03", "FL322"],
    ["older", "2026-01-01", "FL320"],
  ])("a Server of people for one port opens no other port: a %s one", (_which, creationTimestamp, code) => {
    const objects = [{ ...users, spec: { ...users.spec, ports: [{ port: 8080 }, { port: 9090 }] } }];
    const policies = [policy({ authorization: { allow } }, UID)];
    const ours = born("2026-01-02", settled({ ...base, policies, objects }));
    expect(ours.map(({ kind }) => kind)).toContain("Server");
    const made = plan({ ...base, policies, objects, live: [...ours, serverOf(9090, creationTimestamp)] });
    expect(made.actions).toEqual([]);
    expect(made.findings.map((it) => it.code)).toEqual([code]);
  });

  test("of a list that changes the old one stays where the new one cannot be written", () => {
    const changed = { from: { namespaces: ["front"] } };
    const theirs = serverOf(8080, "2026-01-01");
    const policies = [policy({ ...spec, authorization: { allow: [changed] } }, UID)];
    expect(steps({ ...base, policies, live: [...born("2026-01-02", settled(base)), theirs] })).toEqual([
      `delete ${limit}`,
    ]);
  });

  test.each([
    ["younger", "2026-01-03", []],
    ["older", "2026-01-01", [`delete ${limit}`]],
  ])(
    "beside a limit of people nothing goes but the limit that Linkerd would not take: a %s one",
    (_which, creationTimestamp, wanted) => {
      const metadata = { name: "mine", namespace: "iam", creationTimestamp };
      const targetRef = { group: "policy.linkerd.io", kind: "Server", name: `${NAME}.8080` };
      const theirs = { apiVersion: "policy.linkerd.io/v1alpha1", kind: "HTTPLocalRateLimitPolicy", metadata };
      const live = [...born("2026-01-02", settled(base)), { ...theirs, spec: { targetRef } }];
      expect(steps({ ...base, live })).toEqual(wanted);
    },
  );

  test("a kind of the same name in the group of another mesh is another kind", () => {
    const metadata = { name: `${NAME}.8080.${grant}`, namespace: "iam" };
    const istios = { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec: {} };
    expect(steps({ ...base, live: [istios] })).toEqual(all.map((name) => `apply ${name}`));
  });
});
