import { X509Certificate } from "node:crypto";
import { assert as assertProperty, integer, property } from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import {
  BUNDLE_SETTLE_MS,
  CA_LIFETIME_MS,
  type CertificateAction,
  type CertificateFacts,
  type CertificateState,
  LEAF_LIFETIME_MS,
  planCertificates,
} from "../../src/controller/certificate-plan.ts";
import {
  createAuthority,
  isIssuedBy,
  keyMatches,
  readCertificate,
  signLeaf,
} from "../../src/controller/certificate-material.ts";
import {
  CERTIFICATE_LABEL,
  CERTIFICATE_LABEL_VALUE,
  carryOut,
  readStored,
  type SecretData,
  type StoredCertificates,
  type StoredSecret,
} from "../../src/controller/certificate-secrets.ts";
import { Simulation } from "./certificate-simulation.ts";

const NOW_MS = Date.parse("2026-11-21T00:00:00Z");
const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
const NAMES = ["fairlead.fairlead.svc", "127.0.0.1"];

function facts(name: string, notBeforeMs: number, lifetimeMs: number): CertificateFacts {
  return { pem: `${name}\n`, fingerprint: name, notBeforeMs, notAfterMs: notBeforeMs + lifetimeMs };
}

const OLD = facts("old", NOW_MS - 250 * DAY_MS, CA_LIFETIME_MS);
const NEW = facts("new", NOW_MS, CA_LIFETIME_MS);
const LEAF = facts("leaf", NOW_MS - DAY_MS, LEAF_LIFETIME_MS);

interface Sketch {
  readonly current: CertificateFacts;
  readonly previous?: readonly CertificateFacts[];
  readonly previousCanSign?: boolean;
  readonly previousUntilMs?: number;
  readonly issuer?: string;
  readonly leaf?: CertificateFacts;
  readonly bundles?: readonly (readonly CertificateFacts[])[];
  readonly seenSinceMs?: number;
}

/** A healthy state but for what is said. */
function sketch(said: Sketch): CertificateState {
  const { current, previous = [], previousCanSign = false, previousUntilMs, leaf = LEAF } = said;
  const bundles = said.bundles ?? [[current, ...previous]];
  return {
    authority: { state: "ours", value: { current, previous, previousCanSign, previousUntilMs } },
    leaf: { state: "ours", value: { certificate: leaf, issuer: said.issuer ?? current.fingerprint, missingNames: [] } },
    bundles: bundles.map((certificates, index) => ({
      configuration: `webhooks-${index}`,
      certificates: certificates.map((ca) => ({ ...ca, ours: true })),
      readable: true,
      seenSinceMs: said.seenSinceMs ?? 0,
    })),
  };
}

function planned(state: CertificateState, nowMs = NOW_MS): readonly CertificateAction[] {
  return planCertificates(state, nowMs).actions;
}

const YOUNG = facts("young", NOW_MS - DAY_MS, CA_LIFETIME_MS);

describe("planCertificates()", () => {
  test("has nothing to do in a healthy state, and looks again within the hour", () => {
    expect(planCertificates(sketch({ current: YOUNG }), NOW_MS)).toEqual({
      actions: [],
      nextCheckMs: NOW_MS + HOUR_MS,
    });
  });

  test("wakes up at the next deadline", () => {
    const leaf = facts("leaf", NOW_MS - (LEAF_LIFETIME_MS * 2) / 3 + 5_000, LEAF_LIFETIME_MS);
    expect(planCertificates(sketch({ current: YOUNG, leaf }), NOW_MS).nextCheckMs).toBe(NOW_MS + 5_000);
  });

  test("creates a CA when there is none, and keeps those of ours that the bundles carry", () => {
    const bundle = {
      ...sketch({ current: OLD }).bundles[0],
      certificates: [
        { ...OLD, ours: true },
        { ...NEW, ours: false },
      ],
    };
    const state = {
      authority: { state: "absent" },
      leaf: { state: "absent" },
      bundles: [bundle],
    } as unknown as CertificateState;
    expect(planned(state)).toMatchObject([
      { type: "create-ca", reason: "there is no CA yet", keep: [{ fingerprint: "old" }], keepKey: false },
    ]);
  });

  test("remakes a broken CA and keeps what could still be read of it", () => {
    const state = {
      ...sketch({ current: YOUNG, bundles: [] }),
      authority: { state: "broken", problem: "no key", readable: [YOUNG] },
    } as const;
    expect(planned(state)).toMatchObject([
      { type: "create-ca", reason: "the CA Secret is broken: no key", keep: [YOUNG] },
    ]);
  });

  test("touches nothing when a Secret is foreign", () => {
    const foreign = { state: "foreign", problem: "not ours" } as const;
    expect(planned({ ...sketch({ current: OLD, bundles: [[]] }), leaf: foreign })).toEqual([
      { type: "report", reason: "not ours" },
    ]);
    expect(planned({ ...sketch({ current: OLD, bundles: [[]] }), authority: foreign })).toEqual([
      { type: "report", reason: "not ours" },
    ]);
  });

  test("renews the CA after two thirds of its life with the old one and its key kept", () => {
    expect(planned(sketch({ current: OLD }))).toEqual([
      {
        type: "create-ca",
        reason: "the CA has passed two thirds of its life",
        keep: [OLD],
        keepKey: true,
        keepUntilMs: undefined,
      },
    ]);
  });

  test("puts a new CA beside the old one into every bundle first", () => {
    const state = sketch({
      current: NEW,
      previous: [OLD],
      previousCanSign: true,
      issuer: "old",
      bundles: [[OLD], [OLD, NEW]],
    });
    expect(planned(state)).toEqual([
      { type: "set-bundle", reason: "the caBundle must hold 2 CAs", configurations: ["webhooks-0"], pem: "new\nold\n" },
    ]);
  });

  test("signs by the new CA once every bundle carries it and had time to reach every API server", () => {
    const state = sketch({ current: NEW, previous: [OLD], previousCanSign: true, issuer: "old", seenSinceMs: NOW_MS });
    expect(planned(state)).toEqual([]);
    expect(planCertificates(state, NOW_MS).nextCheckMs).toBe(NOW_MS + BUNDLE_SETTLE_MS);
    expect(planned(state, NOW_MS + BUNDLE_SETTLE_MS)).toEqual([
      { type: "sign-leaf", reason: "the leaf is signed by the previous CA", by: "current" },
    ]);
  });

  test("renews a leaf by the old CA while one bundle lacks the new one", () => {
    const leaf = facts("leaf", NOW_MS - 6 * DAY_MS, LEAF_LIFETIME_MS);
    const state = sketch({
      current: NEW,
      previous: [OLD],
      previousCanSign: true,
      issuer: "old",
      leaf,
      bundles: [[OLD]],
    });
    expect(planned(state)[1]).toEqual({
      type: "sign-leaf",
      reason: "the leaf has passed two thirds of its life",
      by: "previous",
    });
  });

  test("retires the old key after the first leaf of the new CA, and drops the old CA a leaf's life later", () => {
    const state = { current: NEW, previous: [OLD], issuer: "new" };
    const [retire] = planned(sketch({ ...state, previousCanSign: true }));
    expect(retire).toMatchObject({ type: "retire-previous" });
    const untilMs = retire?.type === "retire-previous" ? retire.untilMs : 0;
    expect(untilMs).toBeGreaterThanOrEqual(NOW_MS + LEAF_LIFETIME_MS);
    const retired = sketch({
      ...state,
      previousUntilMs: untilMs,
      leaf: facts("leaf", untilMs - DAY_MS, LEAF_LIFETIME_MS),
    });
    expect(planned(retired, untilMs - 1)).toEqual([]);
    expect(planned(retired, untilMs)).toMatchObject([{ type: "drop-previous" }]);
  });

  test("signs at once when there is no leaf that works, settled or not", () => {
    const state = sketch({ current: YOUNG, seenSinceMs: NOW_MS });
    expect(planned({ ...state, leaf: { state: "absent" } })).toMatchObject([
      { type: "sign-leaf", reason: "there is no leaf yet" },
    ]);
    const renamed = {
      state: "ours",
      value: { certificate: LEAF, issuer: "young", missingNames: ["new.svc"] },
    } as const;
    expect(planned({ ...state, leaf: renamed })).toMatchObject([{ reason: "the leaf lacks the names new.svc" }]);
    expect(planned(sketch({ current: YOUNG, issuer: "stranger" }))).toMatchObject([
      { reason: "the leaf is signed by an unknown CA" },
    ]);
  });

  test("says for what it waits when no CA may sign", () => {
    const state = { ...sketch({ current: YOUNG, bundles: [[]] }), leaf: { state: "absent" } } as const;
    expect(planned(state).at(-1)).toEqual({
      type: "report",
      reason: "Cannot sign a leaf yet (there is no leaf yet): waiting for the CA in webhooks-0",
    });
  });

  test("replaces an expired CA even in the middle of a rotation", () => {
    const expired = facts("expired", NOW_MS - CA_LIFETIME_MS, CA_LIFETIME_MS);
    expect(planned(sketch({ current: expired, previous: [OLD] }))[0]).toMatchObject({ type: "create-ca", keep: [OLD] });
  });

  test("cleans foreign certificates and garbage out of a bundle", () => {
    expect(planned(sketch({ current: YOUNG, bundles: [[YOUNG, NEW]] }))).toMatchObject([
      { type: "set-bundle", pem: "young\n" },
    ]);
    const state = sketch({ current: YOUNG });
    expect(
      planned({ ...state, bundles: state.bundles.map((bundle) => ({ ...bundle, readable: false })) }),
    ).toHaveLength(1);
  });
});

describe("every leaf that is served verifies against every bundle", () => {
  test("through years of steps in random order, with lagging replicas, lost patches and broken Secrets", () => {
    assertProperty(
      property(integer(), (seed) => {
        const simulation = new Simulation(seed, NOW_MS);
        for (let index = 0; index < 600; index += 1) simulation.step();
        simulation.settle();
      }),
      { numRuns: 200 },
    );
  });
});

describe("certificates in Secrets", () => {
  const ours = (data: SecretData): StoredSecret => ({ labels: { [CERTIFICATE_LABEL]: CERTIFICATE_LABEL_VALUE }, data });
  let authority: SecretData;
  let leaf: SecretData;

  async function perform(stored: StoredCertificates, type: string, nowMs: number): Promise<SecretData> {
    const action = planCertificates(readStored(stored), nowMs).actions.find((candidate) => candidate.type === type);
    if (action === undefined || action.type === "set-bundle" || action.type === "report")
      throw new Error(`${type} was not planned`);
    return (await carryOut(action, stored, nowMs)).data;
  }

  function stored(changes: Partial<StoredCertificates> = {}): StoredCertificates {
    const bundles = [{ configuration: "w", pem: authority["ca.crt"] ?? "", seenSinceMs: 0 }];
    return { authority: ours(authority), leaf: ours(leaf), bundles, names: NAMES, ...changes };
  }

  beforeAll(async () => {
    const empty = { authority: undefined, leaf: undefined, bundles: [], names: NAMES };
    authority = await perform(empty, "create-ca", NOW_MS);
    leaf = await perform({ ...empty, authority: ours(authority) }, "sign-leaf", NOW_MS);
  });

  test("are what a TLS client wants", () => {
    const ca = new X509Certificate(authority["ca.crt"] ?? "");
    const certificate = new X509Certificate(leaf["tls.crt"] ?? "");
    expect([ca.ca, certificate.ca, isIssuedBy(certificate, ca)]).toEqual([true, false, true]);
    expect(keyMatches(certificate, leaf["tls.key"] ?? "")).toBe(true);
    expect(certificate.subjectAltName).toBe("DNS:fairlead.fairlead.svc, IP Address:127.0.0.1");
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    expect(certificate.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2_048);
    expect(certificate.validToDate.getTime()).toBe(NOW_MS + LEAF_LIFETIME_MS);
    expect(ca.validToDate.getTime()).toBe(NOW_MS + CA_LIFETIME_MS);
    expect(planCertificates(readStored(stored()), NOW_MS).actions).toEqual([]);
  });

  test("go through a whole rotation", async () => {
    const renewMs = NOW_MS + 250 * DAY_MS;
    const rotated = await perform(stored(), "create-ca", renewMs);
    expect(rotated["previous-ca.crt"]).toBe(authority["ca.crt"]);
    expect(rotated["previous-ca.key"]).toBe(authority["ca.key"]);
    const bundles = [{ configuration: "w", pem: `${rotated["ca.crt"]}${authority["ca.crt"]}`, seenSinceMs: 0 }];
    const during = stored({ authority: ours(rotated), bundles });
    const newLeaf = await perform(during, "sign-leaf", renewMs);
    const signed = { ...during, leaf: ours(newLeaf) };
    const retired = await perform(signed, "retire-previous", renewMs);
    expect(Object.keys(retired)).toEqual(["ca.crt", "ca.key", "previous-ca.crt", "previous-until"]);
    const dropped = await perform({ ...signed, authority: ours(retired) }, "drop-previous", renewMs + 8 * DAY_MS);
    expect(dropped).toEqual({ "ca.crt": rotated["ca.crt"], "ca.key": rotated["ca.key"] });
  });

  test("a leaf never outlives its CA", async () => {
    const ca = await createAuthority(NOW_MS);
    const late = await signLeaf(ca, { names: NAMES, nowMs: NOW_MS + CA_LIFETIME_MS - DAY_MS });
    expect(readCertificate(late.certPem)?.facts.notAfterMs).toBe(NOW_MS + CA_LIFETIME_MS);
  });

  test.each<[string, () => Partial<StoredCertificates>, string]>([
    ["no label", () => ({ authority: { labels: {}, data: authority } }), "authority foreign"],
    ["empty values", () => ({ authority: { labels: {}, data: { "ca.crt": "" } } }), "authority absent"],
    ["garbage for a CA", () => ({ authority: ours({ "ca.crt": "x" }) }), "authority broken"],
    [
      "a key of another CA",
      () => ({ authority: ours({ ...authority, "ca.key": leaf["tls.key"] ?? "" }) }),
      "authority broken",
    ],
    ["a leaf in place of the CA", () => ({ authority: ours({ "ca.crt": leaf["tls.crt"] ?? "" }) }), "authority broken"],
    ["a cut PEM", () => ({ leaf: ours({ ...leaf, "tls.crt": (leaf["tls.crt"] ?? "").slice(0, 300) }) }), "leaf broken"],
    ["no key", () => ({ leaf: ours({ "tls.crt": leaf["tls.crt"] ?? "" }) }), "leaf broken"],
    [
      "PEM around nonsense",
      () => ({ leaf: ours({ "tls.crt": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" }) }),
      "leaf broken",
    ],
  ])("with %s are seen for what they are", (_name, changes, expected) => {
    const read = readStored(stored(changes()));
    expect(`authority ${read.authority.state}, leaf ${read.leaf.state}`).toContain(expected);
  });

  test("tell foreign certificates in a bundle from ours, and garbage from both", async () => {
    const pem = `# comment\n${authority["ca.crt"]}${leaf["tls.crt"]}`;
    const [bundle] = readStored(stored({ bundles: [{ configuration: "w", pem, seenSinceMs: 1 }] })).bundles;
    expect(bundle).toMatchObject({ readable: false, seenSinceMs: 1, certificates: [{ ours: true }, { ours: false }] });
  });
});
