import { describe, expect, test } from "vitest";
import type { KubernetesObject, StringMap } from "../../src/core/kubernetes.ts";
import type { ControlPlane } from "../../src/core/mesh/control-plane.ts";
import { controlPlaneOf, guessedVersion, meshVersionIn, versionsTaken } from "../../src/core/mesh/discovery.ts";
import { changedWorld } from "../../src/core/policy/world-with-policy.ts";
import type { NamespaceInfo, World } from "../../src/core/world.ts";
import { meshVersionOf } from "../../src/core/mesh/version.ts";
import { meshVersion, namespace, policy, service, validate, worldOf } from "./worlds.ts";

/** What `linkerd install` and the istiod chart write on the Services of their control planes. */
function linkerdDst(createdBy: string | undefined, name = "linkerd-dst", ofNamespace = "linkerd"): KubernetesObject {
  const annotations: StringMap = createdBy === undefined ? {} : { "linkerd.io/created-by": createdBy };
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace: ofNamespace, annotations } };
}

function istiod(version: string | undefined, labels: StringMap = {}, ofNamespace = "istio-system"): KubernetesObject {
  const { "istio.io/rev": revision = "default" } = labels;
  const told: StringMap = version === undefined ? {} : { "app.kubernetes.io/version": version };
  const name = revision === "default" ? "istiod" : `istiod-${revision}`;
  const all = { app: "istiod", "istio.io/rev": revision, ...told, ...labels };
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace: ofNamespace, labels: all } };
}

function worldWith(services: readonly KubernetesObject[], versions?: string, objects: KubernetesObject[] = []): World {
  const planes: readonly ControlPlane[] = services.flatMap((found) => controlPlaneOf(found) ?? []);
  const given = versions === undefined ? meshVersionOf(undefined) : meshVersion(versions);
  return changedWorld(worldOf(objects, { ...(given && { meshVersion: given }) }), { controlPlanes: () => planes });
}

function inIstio(labels: StringMap): NamespaceInfo {
  return { name: "iam", labels, annotations: {} };
}

const INJECTED = inIstio({ "istio-injection": "enabled" });
const CANARY = inIstio({ "istio.io/rev": "canary" });

describe("controlPlaneOf()", () => {
  test.each<[string, KubernetesObject, Partial<ControlPlane> | undefined]>([
    ["Linkerd from Helm", linkerdDst("linkerd/helm stable-2.14.10"), { mesh: "Linkerd", version: "stable-2.14.10" }],
    ["Linkerd from its CLI", linkerdDst("linkerd/cli edge-26.8.3"), { mesh: "Linkerd", version: "edge-26.8.3" }],
    ["Linkerd that says nothing", linkerdDst(undefined), { mesh: "Linkerd", version: "" }],
    ["another Service of Linkerd", linkerdDst("linkerd/helm 2.18", "linkerd-policy"), undefined],
    ["Istio", istiod("1.26.2"), { mesh: "Istio", revision: "default", version: "1.26.2" }],
    ["a revision of Istio", istiod("1.27.0", { "istio.io/rev": "canary" }), { revision: "canary", version: "1.27.0" }],
    ["a tag of Istio", istiod("1.27.0", { "istio.io/rev": "canary", "istio.io/tag": "prod" }), { revision: "prod" }],
    ["Istio before 1.24, which says nothing", istiod(undefined), { mesh: "Istio", version: "" }],
    ["one that a team calls istiod", istiod("1.20.0", {}, "iam"), undefined],
    ["one that a team calls linkerd-dst", linkerdDst("linkerd/helm 2.14", "linkerd-dst", "iam"), undefined],
    ["any other Service", service(), undefined],
  ])("%s", (_, found, wanted) => {
    const plane = controlPlaneOf(found);
    if (wanted === undefined) expect(plane).toBeUndefined();
    else expect(plane).toMatchObject(wanted);
  });
});

describe("the version for a namespace", () => {
  test.each<{ what: string; world: World; info?: NamespaceInfo; wanted: [linkerd: string, istio: string] }>([
    { what: "no control plane: the newest known", world: worldWith([]), wanted: ["2.20", "1.31"] },
    {
      what: "one of each",
      world: worldWith([linkerdDst("linkerd/helm stable-2.14.10"), istiod("1.24.3")]),
      wanted: ["stable-2.14.10", "1.24.3"],
    },
    {
      what: "what was named goes before what was found, mesh by mesh",
      world: worldWith([linkerdDst("linkerd/helm stable-2.14.10"), istiod("1.24.3")], "2.18"),
      wanted: ["2.18", "1.24.3"],
    },
    {
      what: "the revision of the namespace",
      world: worldWith([istiod("1.24.3"), istiod("1.27.1", { "istio.io/rev": "canary" })]),
      info: CANARY,
      wanted: ["2.20", "1.27.1"],
    },
    {
      what: "istio-injection goes before the revision",
      world: worldWith([istiod("1.24.3"), istiod("1.27.1", { "istio.io/rev": "canary" })]),
      info: inIstio({ "istio-injection": "enabled", "istio.io/rev": "canary" }),
      wanted: ["2.20", "1.24.3"],
    },
    {
      what: "a revision that none has: the oldest",
      world: worldWith([istiod("1.27.1", { "istio.io/rev": "a" }), istiod("1.26.0", { "istio.io/rev": "b" })]),
      wanted: ["2.20", "1.26.0"],
    },
    {
      what: "an unreadable one: the newest known",
      world: worldWith([istiod("latest"), linkerdDst("linkerd/helm dev-undefined")]),
      wanted: ["2.20", "1.31"],
    },
  ])("$what", ({ world, info = INJECTED, wanted }) => {
    const { linkerd, istio } = meshVersionIn(info, world);
    expect([linkerd.text, istio.text]).toEqual(wanted);
  });

  test("is the same value as long as nothing changes, so that what is compiled for it is found again", () => {
    const world = worldWith([istiod("1.24.3")]);
    expect(meshVersionIn(INJECTED, world)).toBe(meshVersionIn({ ...INJECTED }, world));
    expect(meshVersionIn(INJECTED, worldWith([istiod("1.24.3")]))).not.toBe(meshVersionIn(INJECTED, world));
  });
});

describe("a version that is a guess", () => {
  test.each<[string, World, RegExp]>([
    [
      "cannot be read",
      worldWith([istiod("latest")]),
      /^Service istio-system\/istiod has the version "latest", .* Istio 1\.31$/,
    ],
    ["is not told", worldWith([istiod(undefined)]), /^Service istio-system\/istiod has no version, .* Istio 1\.31$/],
    [
      "is that of another revision",
      worldWith([istiod("1.27.1", { "istio.io/rev": "a" }), istiod("1.26.0", { "istio.io/rev": "b" })]),
      /^No control plane has the revision "default", so the settings are for the oldest, Istio 1\.26\.0$/,
    ],
  ])("%s", (_, world, message) => {
    expect(guessedVersion("Istio", INJECTED, world)).toMatchObject([
      { code: "FL326", severity: "warn", message: expect.stringMatching(message) },
    ]);
  });

  test.each<[string, World]>([
    ["a version that can be read", worldWith([istiod("1.26.0")])],
    ["no control plane at all", worldWith([])],
    ["a version that was named", worldWith([istiod("latest")], "1.26")],
    ["another revision of the same version", worldWith([istiod("1.26.0", { "istio.io/rev": "a" })])],
    ["an unreadable version of the other mesh", worldWith([linkerdDst("linkerd/helm dev"), istiod("1.26.0")])],
  ])("is not told of %s", (_, world) => {
    expect(guessedVersion("Istio", INJECTED, world)).toEqual([]);
  });

  test("never keeps a policy from being written", () => {
    const objects = [namespace("enforce", { labels: INJECTED.labels }), service()];
    const { allowed, findings } = validate(
      worldWith([istiod("latest")], undefined, objects),
      policy({ retry: { maxAttempts: 0 } }),
    );
    expect(allowed).toBe(true);
    expect(findings).toMatchObject([{ code: "FL326" }]);
  });
});

test("what a version cannot do is refused by the version of the control plane", () => {
  const retry = policy({ retry: { maxAttempts: 2, statusCodes: ["5xx"] } });
  const old = worldWith([linkerdDst("linkerd/helm stable-2.14.10")], undefined, [namespace("enforce"), service()]);
  expect(validate(old, retry).message).toContain("Linkerd stable-2.14.10 reads no retry annotations");
  expect(validate(worldWith([], undefined, [namespace("enforce"), service()]), retry).allowed).toBe(true);
});

test("versionsTaken(): each version by revision, and where it is from", () => {
  const world = worldWith([istiod("1.24.3"), istiod("latest", { "istio.io/rev": "canary" })], "2.18");
  expect(versionsTaken(world)).toEqual([
    { mesh: "Linkerd", revision: "", version: "2.18", source: "--mesh-version" },
    { mesh: "Istio", revision: "default", version: "1.24.3", source: "Service istio-system/istiod" },
    { mesh: "Istio", revision: "canary", version: "1.31", source: "default" },
  ]);
  expect(versionsTaken(worldWith([])).map(({ source }) => source)).toEqual(["default", "default"]);
});
