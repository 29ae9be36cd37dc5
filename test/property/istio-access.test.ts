import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { companionsOf } from "../../src/core/companions/wanted.ts";
import { resolvePrecedence } from "../../src/core/intent/precedence.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { keyOf, meshVersion, namespace, policy, service, validate, worldOf } from "../core/worlds.ts";
import { type Inbound, isWithin, type Treatment, treatmentOf } from "./istio-access-reader.ts";

const RUNS = { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 300) };
vi.setConfig({ testTimeout: 30_000 + 50 * RUNS.numRuns });

const NAMESPACES = ["front", "jobs", "lab"];
const ACCOUNTS = ["web", "batch"];
const METHODS = ["GET", "POST", "PUT"];
const PATHS = ["/", "/users", "/users/7", "/userspace", "/admin/", "/admin"];
const HTTP_PORTS = [8080, 9090];
const TCP_PORT = 7000;

const account = fc.record({ name: fc.constantFrom(...ACCOUNTS), namespace: fc.constantFrom(...NAMESPACES) });
const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 2 });
const isSaid = (made: object): boolean => Object.keys(made).length > 0;
const from = fc
  .record(
    {
      serviceAccounts: some(account),
      namespaces: some(fc.constantFrom(...NAMESPACES)),
      cidrs: some(fc.constantFrom("10.0.0.0/8", "10.1.2.0/24", "0.0.0.0/0", "192.0.2.7/32")),
    },
    { requiredKeys: [] },
  )
  .filter(isSaid);
const path = fc.record(
  { type: fc.constantFrom("Exact", "PathPrefix"), value: fc.constantFrom("/", "/users", "/admin/", "/admin") },
  { requiredKeys: ["value"] },
);
const to = fc
  .record({ paths: some(path), methods: some(fc.constantFrom(...METHODS)) }, { requiredKeys: [] })
  .filter(isSaid);
const entry = fc.record({ from, to }, { requiredKeys: [] }).filter(isSaid);
const authorization = fc.record({ allow: some(entry), deny: some(entry) }, { requiredKeys: [] }).filter(isSaid);
const rateLimit = fc.record({ requestsPerSecond: fc.integer({ min: 1, max: 1_000_000 }) });
const mtls = fc.record({ mode: fc.constantFrom("Strict", "Permissive") });
const specs = fc.record({ rateLimit, mtls, authorization }, { requiredKeys: [] }).filter(isSaid);

const inbound = fc
  .record({
    port: fc.constantFrom(...HTTP_PORTS, TCP_PORT, 15_020),
    identity: fc.option(
      fc.record({
        trustDomain: fc.constantFrom("cluster.local", "example.org"),
        namespace: fc.constantFrom(...NAMESPACES, "b-front"),
        account: fc.constantFrom(...ACCOUNTS, "x-web"),
      }),
      { nil: undefined },
    ),
    address: fc.constantFrom("10.1.2.3", "10.9.9.9", "192.0.2.7", "203.0.113.1"),
    method: fc.constantFrom(...METHODS),
    path: fc.constantFrom(...PATHS),
  })
  .map((made) => ({ ...made, isHttp: made.port !== TCP_PORT }));

interface Entry {
  readonly from?: {
    readonly serviceAccounts?: readonly { readonly name: string; readonly namespace: string }[];
    readonly namespaces?: readonly string[];
    readonly cidrs?: readonly string[];
  };
  readonly to?: {
    readonly paths?: readonly { readonly type?: string; readonly value: string }[];
    readonly methods?: readonly string[];
  };
}

interface Spec {
  readonly rateLimit?: { readonly requestsPerSecond: number };
  readonly mtls?: { readonly mode: string };
  readonly authorization?: { readonly allow?: readonly Entry[]; readonly deny?: readonly Entry[] };
}

/** By the words of docs/policy.md, whatever the compiler does. */
function wantedFor(
  { rateLimit: limit, mtls: tls, authorization: access = {} }: Spec,
  made: Inbound,
): Treatment | undefined {
  if (made.port === 15_020) return undefined;
  const { allow, deny = [] } = access;
  const isDenied = deny.some((one) => fits(one, made));
  return {
    isStrict: tls?.mode === "Strict",
    isLetIn: !isDenied && (allow === undefined || allow.some((one) => fits(one, made))),
    perSecond: made.isHttp ? limit?.requestsPerSecond : undefined,
  };
}

function fits({ from: clients, to: requests }: Entry, made: Inbound): boolean {
  return (
    (clients === undefined || fitsClient(clients, made)) && (requests === undefined || fitsRequest(requests, made))
  );
}

function fitsClient({ serviceAccounts, namespaces, cidrs }: Required<Entry>["from"], made: Inbound): boolean {
  const { identity, address } = made;
  const isAccount = serviceAccounts?.some(
    (one) => one.name === identity?.account && one.namespace === identity.namespace,
  );
  const isInNamespace = namespaces?.some((name) => name === identity?.namespace);
  const isKnown = serviceAccounts === undefined && namespaces === undefined;
  return (
    (isKnown || isAccount === true || isInNamespace === true) &&
    (cidrs === undefined || cidrs.some((cidr) => isWithin(address, cidr)))
  );
}

/** What is not HTTP has no path and no method. */
function fitsRequest({ paths, methods }: Required<Entry>["to"], { isHttp, path: at, method }: Inbound): boolean {
  const isPath = ({ type, value }: { readonly type?: string; readonly value: string }): boolean => {
    if (type === "Exact") return at === value;
    const prefix = value.replace(/\/$/, "");
    return at === prefix || at.startsWith(`${prefix}/`);
  };
  return isHttp && (paths === undefined || paths.some(isPath)) && (methods === undefined || methods.includes(method));
}

const NAMESPACE = namespace("enforce", { labels: { "istio-injection": "enabled" } });
const TARGET = {
  ...service(),
  spec: {
    selector: { app: "user-service" },
    ports: [
      { name: "http", port: 80, targetPort: 8080 },
      { name: "grpc", port: 9090 },
      { name: "tcp-admin", port: TCP_PORT },
    ],
  },
};

/** The same ports of the same Pods, of which the Service says the name and an EndpointSlice the number. */
const TARGET_BY_NAME = {
  ...TARGET,
  spec: { ...TARGET.spec, ports: TARGET.spec.ports.map((port) => ({ ...port, targetPort: `of-${port.name}` })) },
};
const SLICE = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    name: "user-service-1",
    namespace: "iam",
    labels: {
      "kubernetes.io/service-name": "user-service",
      "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    },
  },
  ports: TARGET.spec.ports.map(({ name, port, targetPort }) => ({ name, port: targetPort ?? port })),
};

function objectsFor(spec: object, { version, isByName }: Omit<Place, "mode">): readonly KubernetesObject[] {
  const object = policy(spec as Record<string, unknown>, { uid: "u" });
  const target = isByName ? TARGET_BY_NAME : TARGET;
  const world = worldOf([NAMESPACE, target, SLICE, object], { meshVersion: meshVersion(version) });
  expect(validate(world, object).allowed).toBe(true);
  const precedence = resolvePrecedence(world.policiesIn("iam"), keyOf(target), target);
  return companionsOf({ key: keyOf(target), object: target }, precedence, world).wanted.map((it) => it.object);
}

interface Place {
  readonly version: string;
  readonly mode: "STRICT" | "PERMISSIVE";
  /** Whether the Service says the names of ports of the Pods. */
  readonly isByName: boolean;
}

const ANYBODY = { port: 8080, isHttp: true, identity: undefined, address: "10.1.2.3", method: "GET", path: "/" };
const WEB = { trustDomain: "example.org", namespace: "front", account: "web" };
/** What chance seldom makes: a path that is more than its prefix, a client of another trust domain, names that end alike. */
const RARE: [spec: Spec, made: Inbound, place: Place][] = [
  [{ allow: [{ to: { paths: [{ value: "/users" }] } }] }, { ...ANYBODY, path: "/userspace" }],
  [{ deny: [{ to: { paths: [{ value: "/admin/" }] } }] }, { ...ANYBODY, path: "/admin" }],
  [{ allow: [{ from: { serviceAccounts: [{ name: "web", namespace: "front" }] } }] }, { ...ANYBODY, identity: WEB }],
  [
    { allow: [{ from: { serviceAccounts: [{ name: "web", namespace: "front" }] } }] },
    { ...ANYBODY, identity: { ...WEB, account: "x-web" } },
  ],
  [{ deny: [{ from: { namespaces: ["front"] } }] }, { ...ANYBODY, identity: { ...WEB, namespace: "b-front" } }],
].map(([access, made]) => [
  { authorization: access as Spec["authorization"] & object },
  made as Inbound,
  { version: "1.31", mode: "PERMISSIVE", isByName: false },
]);

test("every request is treated at the Pods as the policy says, and their other ports stay as they are", () => {
  const seen = { letIn: 0, refused: 0, elsewhere: 0 };
  const places = fc.record({
    version: fc.constantFrom("1.20", "1.31"),
    mode: fc.constantFrom("STRICT" as const, "PERMISSIVE" as const),
    isByName: fc.boolean(),
  });
  fc.assert(
    fc.property(specs, inbound, places, (spec, made, { mode, ...place }) => {
      const found = treatmentOf(objectsFor(spec, place), made, mode);
      const wanted = wantedFor(spec, made);
      const untouched = { isStrict: mode === "STRICT", isLetIn: true, perSecond: undefined };
      const isSilent = spec.mtls === undefined;
      expect(found).toEqual(
        wanted === undefined ? untouched : { ...wanted, ...(isSilent && { isStrict: untouched.isStrict }) },
      );
      seen[wanted === undefined ? "elsewhere" : found.isLetIn ? "letIn" : "refused"] += 1;
    }),
    { ...RUNS, examples: RARE },
  );
  expect(Object.values(seen).every((times) => times > 10)).toBe(true);
});

const ADMIN_PORT = 9091;
const toEither = fc
  .tuple(inbound, fc.boolean())
  .map(([made, isAdmin]) => (isAdmin ? { ...made, port: ADMIN_PORT, isHttp: true } : made));
/** Where labels do not tell whether the Pods are the same, Istio takes the older mode. */
const withoutMode = ({ mtls: tls, ...rest }: Spec, isLeftOut: boolean): Spec =>
  isLeftOut || tls === undefined ? { rateLimit: { requestsPerSecond: 1 }, ...rest } : { ...rest, mtls: tls };
const selectors = fc.constantFrom({ app: "user-service" }, { app: "user-service", version: "next" }, { tier: "back" });

test("two Services for the same Pods: each request is treated as the policy of its port says, whichever object is older", () => {
  const seen = { letIn: 0, refused: 0, elsewhere: 0 };
  const places = fc.record({ selector: selectors, isReversed: fc.boolean() });
  fc.assert(
    fc.property(fc.tuple(specs, specs), places, toEither, ([one, other], { selector, isReversed }, made) => {
      const [own, theirs] = [withoutMode(one, "tier" in selector), withoutMode(other, "tier" in selector)];
      const admin = { ...TARGET, metadata: { ...TARGET.metadata, name: "admin" } };
      const second = { ...admin, spec: { selector, ports: [{ name: "http", port: ADMIN_PORT }] } };
      const world = worldOf([
        NAMESPACE,
        TARGET,
        second,
        policy({ ...own }, { uid: "u-1" }),
        policy({ ...theirs, targetRefs: [{ kind: "Service", name: "admin" }] }, { name: "admin", uid: "u-2" }),
      ]);
      const written = [TARGET, second].flatMap((object) => {
        const key = keyOf(object);
        const precedence = resolvePrecedence(world.policiesIn("iam"), key, object);
        return companionsOf({ key, object }, precedence, world).wanted.map((it) => it.object);
      });
      const found = treatmentOf(isReversed ? written.toReversed() : written, made, "PERMISSIVE");
      const wanted = wantedFor(made.port === ADMIN_PORT ? theirs : own, made) ?? {
        isStrict: false,
        isLetIn: true,
        perSecond: undefined,
      };
      expect(found).toEqual(wanted);
      seen[made.port === 15_020 ? "elsewhere" : found.isLetIn ? "letIn" : "refused"] += 1;
    }),
    RUNS,
  );
  expect(Object.values(seen).every((times) => times > 10)).toBe(true);
});
