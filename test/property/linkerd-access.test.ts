import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import type { Action } from "../../src/core/action.ts";
import { planCompanions } from "../../src/core/companions/plan-companions.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { atOnce } from "../core/at-once.ts";
import { meshVersion, namespace, policy, validate, worldOf } from "../core/worlds.ts";
import { type Client, letsIn, limitsOf, type Limits, type Pod } from "./linkerd-reader.ts";

const RUNS = { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 100) };
vi.setConfig({ testTimeout: 30_000 + 50 * RUNS.numRuns });

const account = fc.record({ namespace: fc.constantFrom("front", "jobs"), name: fc.constantFrom("web", "batch") });
const client: fc.Arbitrary<Client> = fc.record(
  { account, address: fc.constantFrom("10.1.2.3", "10.200.0.1", "192.168.0.1") },
  { requiredKeys: ["address"] },
);
const accounts = fc.uniqueArray(account, {
  minLength: 1,
  maxLength: 2,
  selector: ({ namespace: of, name }) => of + name,
});
const from = fc
  .record(
    {
      serviceAccounts: accounts,
      namespaces: fc.constantFrom(["front"], ["jobs", "ops"]),
      cidrs: fc.constantFrom(["10.1.0.0/16"], ["10.0.0.0/8", "fd00::/8"]),
    },
    { requiredKeys: [] },
  )
  .filter((made) => Object.keys(made).length > 0);
const authorization = fc.record({ allow: fc.array(fc.record({ from }), { minLength: 1, maxLength: 3 }) });
const mtls = fc.record({ mode: fc.constantFrom("Strict" as const, "Permissive" as const) });
const rateLimit = fc
  .record(
    { requestsPerSecond: fc.constantFrom(50, 100), perClient: fc.constantFrom(5, 50), overridden: accounts },
    {
      requiredKeys: ["requestsPerSecond"],
    },
  )
  .map(({ overridden, ...limits }) => ({
    ...limits,
    // Each client once, whatever the compiler says to more.
    ...(overridden && {
      overrides: overridden.map((one, index) => ({ requestsPerSecond: 7 + index, serviceAccounts: [one] })),
    }),
  }));

interface Spec {
  readonly authorization?: { readonly allow: readonly { readonly from: From }[] };
  readonly mtls?: { readonly mode: "Strict" | "Permissive" };
  readonly rateLimit?: {
    readonly requestsPerSecond: number;
    readonly perClient?: number;
    readonly overrides?: readonly {
      readonly requestsPerSecond: number;
      readonly serviceAccounts: readonly Account[];
    }[];
  };
}
interface From {
  readonly serviceAccounts?: readonly Account[];
  readonly namespaces?: readonly string[];
  readonly cidrs?: readonly string[];
}
type Account = Required<Client>["account"];

const specs: fc.Arbitrary<Spec> = fc.record({ authorization, mtls, rateLimit }, { requiredKeys: [] });
const versions = fc.constantFrom("2.14", "2.15", "2.16", "edge-24.11.1", "2.17", "2.18", "2.20");
const defaults = fc.constantFrom(
  undefined,
  "all-authenticated",
  "all-unauthenticated",
  "cluster-authenticated",
  "cluster-unauthenticated",
  "deny",
);
/** Two ports that speak HTTP, one by its name; one of a database; and one that the Service does not lead to. */
const PORTS = { http: 8080, admin: 9090, database: 3306, other: 4191 };
const port = fc.constantFrom(...Object.values(PORTS));
const LABELS = { app: "users", version: "2" };
const SERVICE: KubernetesObject = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "user-service", namespace: "iam" },
  spec: {
    selector: { app: "users" },
    ports: [{ port: 80, targetPort: PORTS.http }, { port: 81, targetPort: "admin" }, { port: PORTS.database }],
  },
};

interface Setting {
  readonly version: string;
  readonly defaultPolicy: string | undefined;
}
const settings: fc.Arbitrary<Setting> = fc.record({ version: versions, defaultPolicy: defaults });

function podIn({ defaultPolicy = "all-unauthenticated" }: Setting): Pod {
  return { namespace: "iam", labels: LABELS, ports: { admin: PORTS.admin }, defaultPolicy };
}

/** By the words of docs/policy.md, whatever the compiler does. */
function mayIn(spec: Spec, { account: own, address }: Client, byDefault: string): boolean {
  if (spec.mtls?.mode === "Strict" && own === undefined) return false;
  if (spec.authorization !== undefined) {
    return spec.authorization.allow.some(({ from: { serviceAccounts, namespaces, cidrs } }) => {
      const isNamed = serviceAccounts?.some((one) => one.name === own?.name && one.namespace === own.namespace);
      const isWho =
        (serviceAccounts ?? namespaces) === undefined || isNamed || namespaces?.some((it) => it === own?.namespace);
      const isWhere = cidrs === undefined || address.startsWith(cidrs.includes("10.1.0.0/16") ? "10.1." : "10.");
      return isWho === true && isWhere;
    });
  }
  const isFar = byDefault.startsWith("cluster-") && !address.startsWith("10.");
  if (byDefault === "deny" || isFar) return false;
  return spec.mtls !== undefined || byDefault.endsWith("-unauthenticated") || own !== undefined;
}

function limitedTo({ rateLimit: limit }: Spec, { account: own }: Client): Limits | undefined {
  if (limit === undefined) return undefined;
  const override = limit.overrides?.find(({ serviceAccounts }) =>
    serviceAccounts.some((one) => one.name === own?.name && one.namespace === own.namespace),
  );
  const of = override ? "override" : own ? "itself" : "strangers";
  const requestsPerSecond = override?.requestsPerSecond ?? limit.perClient;
  return {
    total: limit.requestsPerSecond,
    client: requestsPerSecond === undefined ? undefined : { requestsPerSecond, of },
  };
}

function worldIn({ version, defaultPolicy }: Setting, spec: Spec, live: readonly KubernetesObject[]) {
  const annotations = {
    "linkerd.io/inject": "enabled",
    ...(defaultPolicy !== undefined && { "config.linkerd.io/default-inbound-policy": defaultPolicy }),
  };
  const written = policy({ circuitBreaker: { enabled: false }, ...spec }, { uid: "u-1" });
  const objects = [namespace("enforce", { annotations }), SERVICE, ...live];
  const world = worldOf([...objects, written], { meshVersion: meshVersion(version) });
  const isRefused = !validate(worldOf(objects, { meshVersion: meshVersion(version) }), written).allowed;
  return { world, written, isRefused };
}

/** The objects after each write, of one turn after the other, until there is nothing left to do; first those before. */
function moments(setting: Setting, spec: Spec, before: Objects): readonly Objects[] {
  const made = [before];
  for (let turn = 0; turn < 3; turn += 1) {
    const live = last(made);
    const { world, written } = worldIn(setting, spec, live);
    const [compiled] = world.policiesIn("iam");
    const { actions } = atOnce(planCompanions({ policy: written, compiled, live, serves: () => true, world }));
    if (actions.length === 0) return made;
    for (const action of actions) made.push(carriedOut(action, last(made)));
  }
  throw new Error("It does not come to rest");
}

function settled(setting: Setting, spec: Spec, before: Objects = []): Objects {
  return last(moments(setting, spec, before));
}

type Objects = readonly KubernetesObject[];

function last(made: readonly Objects[]): Objects {
  return made[made.length - 1] ?? [];
}

function carriedOut(action: Action, live: Objects): Objects {
  if (action.kind !== "apply" && action.kind !== "delete") throw new Error(`Found a ${action.kind}`);
  const { resource, name } = action.ref;
  const isOther = (object: KubernetesObject) => object.metadata?.uid !== `${resource}/${name}`;
  const others = live.filter(isOther);
  if (action.kind === "delete") return others;
  const metadata = { ...action.object.metadata, uid: `${resource}/${name}`, resourceVersion: "1" };
  return [...others, { ...action.object, metadata }];
}

test("at every port each client is let in, and limited, as the policy says, in every version; or the policy is refused", () => {
  const seen = { refused: 0, limited: 0, shut: 0, open: 0 };
  fc.assert(
    fc.property(settings, specs, fc.tuple(client, port), (setting, spec, [who, number]) => {
      const pod = podIn(setting);
      const { isRefused } = worldIn(setting, spec, []);
      // What a version lacks is the one thing that it says no to here.
      const lacksLimits = ["2.14", "2.15", "2.16", "edge-24.11.1"].includes(setting.version);
      expect(isRefused).toBe(lacksLimits && spec.rateLimit !== undefined);
      seen.refused += Number(isRefused);
      if (isRefused) return;
      const objects = settled(setting, spec);
      const at = { pod, port: number };
      const isLed = number !== PORTS.other;
      // Before 2.16 a Server has no word for the networks of the cluster, and a warning says so.
      const isWider = isLed && spec.mtls !== undefined && ["2.14", "2.15"].includes(setting.version);
      const byDefault = isWider ? pod.defaultPolicy.replace("cluster-", "all-") : pod.defaultPolicy;
      const mayEnter = mayIn(isLed ? spec : {}, who, byDefault);
      expect(letsIn(objects, at, who)).toBe(mayEnter);
      const speaksHttp = number === PORTS.http || number === PORTS.admin;
      const limits = limitedTo(speaksHttp ? spec : {}, who);
      expect(limitsOf(objects, at, who)).toEqual(limits);
      seen.limited += Number(limits?.client !== undefined);
      seen[mayEnter ? "open" : "shut"] += 1;
    }),
    RUNS,
  );
  expect(Object.values(seen).every((times) => times > 0)).toBe(true);
});

test("while a policy changes, whom both states let in is never refused, and whom both refuse is never let in", () => {
  const seen = { open: 0, shut: 0 };
  fc.assert(
    fc.property(settings, fc.tuple(specs, specs), fc.tuple(client, port), (setting, [before, after], [who, number]) => {
      fc.pre([before, after].every((spec) => !worldIn(setting, spec, []).isRefused));
      const pod = podIn(setting);
      const at = { pod, port: number };
      const all = moments(setting, after, settled(setting, before)).map((objects) => letsIn(objects, at, who));
      if (all[0] !== all[all.length - 1]) return;
      expect(new Set(all).size).toBe(1);
      seen[all[0] ? "open" : "shut"] += all.length - 1;
    }),
    RUNS,
  );
  expect(Object.values(seen).every((times) => times > 0)).toBe(true);
});

test("a policy that goes leaves nothing behind", () => {
  fc.assert(
    fc.property(settings, specs, (setting, spec) => {
      fc.pre(!worldIn(setting, spec, []).isRefused);
      expect(settled(setting, {}, settled(setting, spec))).toEqual([]);
    }),
    RUNS,
  );
});
