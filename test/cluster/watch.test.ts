import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { installCrds, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { KubernetesClient, type ResourceRef, resourcePath } from "../../src/k8s/client.ts";
import { type Cluster, loadCluster } from "../../src/k8s/config.ts";
import type { Clock, Logger } from "../../src/k8s/ports.ts";
import { ResourceWatch } from "../../src/k8s/watch.ts";
import type { WatchTuning } from "../../src/k8s/watch-options.ts";
import { FakeClock } from "../controller/fake-clock.ts";
import { type Fault, FaultProxy } from "./fault-proxy.ts";

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const CONFIG_MAPS: ResourceRef = { group: "", resource: "configmaps" };
const PROFILES: ResourceRef = { group: "linkerd.io", resource: "serviceprofiles" };
const DEFAULT_NAMESPACE = "/api/v1/namespaces/default/configmaps";
const QUICK: Partial<WatchTuning> = {
  inactivityMs: 60_000,
  discoveryMs: 100,
  listTimeoutMs: 500,
  backoff: { baseMs: 10, capMs: 100 },
  healthyAfterMs: 1_000,
  frameLengthMax: 1_000_000,
};

let controlPlane: ControlPlane;
let direct: KubernetesClient;
let directCluster: Cluster;
let proxy: FaultProxy;
let started: Cached[] = [];
let sequence = 0;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
  directCluster = await loadCluster({ kubeconfig: controlPlane.kubeconfigPath });
  direct = new KubernetesClient(directCluster);
});
afterAll(async () => {
  direct?.close();
  await controlPlane?.stop();
});

beforeEach(async () => {
  proxy = await FaultProxy.start({ url: controlPlane.url, caPem: controlPlane.caPem, client: controlPlane.admin });
});
afterEach(async () => {
  await Promise.all(started.map((cached) => cached.stop()));
  started = [];
  await proxy.stop();
});

/** A cache fed by the watch under test. */
class Cached {
  readonly objects = new Map<string, KubernetesObject>();
  readonly watch: ResourceWatch;
  readonly #client: KubernetesClient;
  /** Throws once when it is set. */
  fail = false;

  constructor(
    options: { cluster?: Cluster; resource?: ResourceRef; tuning?: Partial<WatchTuning>; clock?: Clock } = {},
  ) {
    this.#client = new KubernetesClient(options.cluster ?? proxy.cluster);
    this.watch = new ResourceWatch({
      client: this.#client,
      resource: options.resource ?? CONFIG_MAPS,
      tuning: { ...QUICK, ...options.tuning },
      clock: options.clock,
      log: SILENT,
      handler: {
        set: (object) => {
          if (this.fail) {
            this.fail = false;
            throw new Error("handler");
          }
          this.objects.set(`${object.metadata?.namespace}/${object.metadata?.name}`, object);
        },
        delete: (namespace, name) => this.objects.delete(`${namespace}/${name}`),
      },
    });
    this.watch.start();
    started.push(this);
  }

  async stop(): Promise<void> {
    await this.watch.stop();
    this.#client.close();
  }

  /** Waits until the cache holds exactly what the API server holds, by name and version. */
  async converged(resource = CONFIG_MAPS, version = "v1"): Promise<void> {
    await waitFor("the cache to converge", async () => {
      const wanted: string[] = [];
      await direct.list(resourcePath({ ...resource, version }), {
        onPage: (items) => wanted.push(...items.map(identity)),
      });
      return JSON.stringify(wanted.sort()) === JSON.stringify([...this.objects.values()].map(identity).sort());
    });
  }
}

function identity(object: KubernetesObject): string {
  const { namespace, name, resourceVersion } = object.metadata ?? {};
  return `${namespace}/${name}@${resourceVersion}`;
}

async function create(): Promise<string> {
  sequence += 1;
  const name = `object-${sequence}`;
  await direct.create(DEFAULT_NAMESPACE, { metadata: { name } });
  return name;
}

/** Makes a change of each kind: one object new, one changed, one gone. */
async function churn(): Promise<void> {
  const [changed, deleted] = [await create(), await create()];
  await direct.patch({ path: `${DEFAULT_NAMESPACE}/${changed}`, type: "merge", body: { data: { changed: "yes" } } });
  await direct.delete(`${DEFAULT_NAMESPACE}/${deleted}`);
}

describe("a healthy API server", () => {
  test("is followed from the list on, types included", async () => {
    const name = await create();
    const cached = new Cached();
    await cached.watch.whenSynced();
    expect(cached.watch.synced).toBe(true);
    expect(cached.objects.get(`default/${name}`)).toMatchObject({ apiVersion: "v1", kind: "ConfigMap" });
    await churn();
    await cached.converged();
    expect(proxy.seen).toMatchObject({ lists: 1, watches: 1 });
  });

  test("is listed by pages, again from the start when the pages expire in the middle", async () => {
    for (let count = 0; count < 5; count++) await create();
    proxy.pageLimit = 2;
    proxy.fault = "listGone";
    const cached = new Cached();
    await cached.converged();
    expect(proxy.seen.lists).toBeGreaterThan(4);
    expect(cached.watch.counters).toMatchObject({ lists: 1, errors: 0 });
  });

  test("ends a watch in its own time, and nothing is listed again", async () => {
    const cached = new Cached({ tuning: { timeoutSecondsMin: 1 } });
    await waitFor("a second watch", async () => proxy.seen.watches >= 2);
    await churn();
    await cached.converged();
    expect(cached.watch.counters).toMatchObject({ lists: 1, errors: 0 });
  });

  test("survives a handler that throws, and the object is delivered again with the next list", async () => {
    const cached = new Cached();
    await cached.watch.whenSynced();
    cached.fail = true;
    const name = await create();
    await waitFor("the handler to throw", async () => !cached.fail);
    await churn();
    expect(cached.objects.has(`default/${name}`)).toBe(false);
    proxy.fault = "gone";
    proxy.cut();
    await waitFor("a 410", async () => proxy.seen.faults > 0);
    proxy.fault = "pass";
    await cached.converged();
    expect(cached.watch.counters.handlerErrors).toBe(1);
  });
});

describe("a fault on the way", () => {
  const faults: readonly { fault: Fault; relists: boolean }[] = [
    { fault: "gone", relists: true },
    { fault: "expired", relists: true },
    { fault: "garbage", relists: true },
    { fault: "oversize", relists: true },
    { fault: "torn", relists: false },
    { fault: "refuse", relists: false },
  ];
  test.each(faults)("$fault, again and again, is survived; listed again: $relists", async ({ fault, relists }) => {
    const cached = new Cached();
    await cached.converged();
    proxy.fault = fault;
    proxy.cut();
    await waitFor("three faults", async () => proxy.seen.faults >= 3);
    await churn();
    proxy.fault = "pass";
    await cached.converged();
    expect(cached.watch.counters.lists > 1).toBe(relists);
    await churn();
    await cached.converged();
  });

  test("objects that vanished during an outage which ends in a list are deleted", async () => {
    const name = await create();
    const cached = new Cached();
    await cached.converged();
    proxy.fault = "gone";
    proxy.cut();
    await waitFor("a 410", async () => proxy.seen.faults >= 1);
    await direct.delete(`${DEFAULT_NAMESPACE}/${name}`);
    await waitFor("the deletion", async () => !cached.objects.has(`default/${name}`));
    proxy.fault = "pass";
    await cached.converged();
  });

  test("a throttling API server is not asked before its Retry-After", async () => {
    proxy.fault = "throttle";
    const clock = new FakeClock();
    const cached = new Cached({ clock });
    await waitFor("the pause after a 429", async () => clock.pending.length === 1);
    proxy.fault = "pass";
    clock.advance(999);
    expect(clock.pending).toEqual([1]);
    clock.advance(1);
    await cached.converged();
    expect(proxy.seen).toMatchObject({ faults: 1, lists: 2 });
  });
});

describe("a half-open connection", () => {
  test("is cut after the time without a word, staleness shows it, and the watch resumes without a list", async () => {
    const clock = new FakeClock();
    const cached = new Cached({ clock, tuning: { inactivityMs: 1_500 } });
    await cached.watch.whenSynced();
    await churn();
    // What comes after the list comes through the watch, which is open then.
    await cached.converged();
    const { watches } = cached.watch.counters;
    proxy.mute();
    await churn();
    clock.advance(1_499);
    expect({ stalenessMs: cached.watch.stalenessMs, watches }).toEqual({ stalenessMs: 1_499, watches: 1 });
    clock.advance(1);
    await waitFor("another watch", async () => cached.watch.counters.watches > watches);
    await cached.converged();
    expect(cached.watch.stalenessMs).toBe(0);
    expect(cached.watch.counters.lists).toBe(1);
  });

  test("that swallows new requests too is left again and again until it heals", async () => {
    const cached = new Cached({ tuning: { inactivityMs: 300 } });
    await cached.converged();
    proxy.fault = "hang";
    proxy.mute();
    await waitFor("three silent watches", async () => proxy.seen.faults >= 3);
    await churn();
    proxy.fault = "pass";
    await cached.converged();
  });

  test("in the first list is given up, and stop() ends it at once", async () => {
    proxy.fault = "hang";
    const cached = new Cached();
    await waitFor("two lists", async () => proxy.seen.lists >= 2);
    expect(cached.watch.synced).toBe(false);
    await cached.stop();
    const { lists } = proxy.seen;
    proxy.fault = "pass";
    await churn();
    expect({ lists: proxy.seen.lists, objects: cached.objects.size }).toEqual({ lists, objects: 0 });
  });

  test("is not confused with a quiet watch: cut and resumed, never listed again, nothing lost", async () => {
    const clock = new FakeClock();
    const cached = new Cached({ clock, tuning: { inactivityMs: 1_500 } });
    await cached.watch.whenSynced();
    await churn();
    // What comes after the list comes through the watch, which is open then.
    await cached.converged();
    for (const cuts of [1, 2, 3, 4]) {
      clock.advance(1_500);
      await waitFor("a quiet watch to be cut", async () => cached.watch.counters.cuts === cuts);
      await waitFor("the next one to be open", async () => cached.watch.stalenessMs === 0);
    }
    await churn();
    await cached.converged();
    expect(cached.watch.counters).toMatchObject({ lists: 1, errors: 0 });
  });
});

describe("an API server that is killed", () => {
  test("is waited for, with growing staleness, and followed again", async () => {
    const cached = new Cached({ cluster: directCluster });
    await cached.converged();
    await controlPlane.killApiServer(0);
    await waitFor("five errors", async () => cached.watch.counters.errors >= 5);
    await waitFor("staleness", async () => cached.watch.stalenessMs > 500);
    expect(cached.watch.synced).toBe(true);
    expect(cached.objects.size).toBeGreaterThan(0);
    await controlPlane.startApiServer(0);
    await churn();
    await cached.converged();
  });
});

describe("a CRD", () => {
  test("that is absent counts as synced; its watch starts when it comes, and its objects go with it", async () => {
    const cached = new Cached({ resource: PROFILES });
    await cached.watch.whenSynced();
    expect({ version: cached.watch.version, size: cached.watch.size }).toEqual({ version: undefined, size: 0 });

    const paths = await linkerdCrdPaths();
    await installCrds(controlPlane, paths);
    const profile = {
      apiVersion: "linkerd.io/v1alpha2",
      kind: "ServiceProfile",
      metadata: { name: "web.default" },
      spec: { routes: [] },
    };
    await direct.create("/apis/linkerd.io/v1alpha2/namespaces/default/serviceprofiles", profile);
    await cached.converged(PROFILES, "v1alpha2");
    expect(cached.objects.size).toBe(1);

    await controlPlane.kubectl(["delete", ...paths.flatMap((path) => ["--filename", path])]);
    await waitFor("the cache to be empty", async () => cached.objects.size === 0);
    await waitFor("the resource to be absent", async () => cached.watch.version === undefined);

    await installCrds(controlPlane, paths);
    await direct.create("/apis/linkerd.io/v1alpha2/namespaces/default/serviceprofiles", profile);
    await cached.converged(PROFILES, "v1alpha2");
    expect(cached.objects.size).toBe(1);
  });
});
