import {
  createAuthority,
  isIssuedBy,
  keyMatches,
  missingNames,
  type ReadCertificate,
  readCertificate,
  readCertificates,
  signLeaf,
} from "./certificate-material.ts";
import type {
  AuthorityState,
  BundleState,
  CertificateState,
  LeafState,
  SecretAction,
  SecretState,
} from "./certificate-plan.ts";

/** Marks the two Secrets as ours; one that holds data without it belongs to somebody else. */
export const CERTIFICATE_LABEL = "fairlead.dev/certificate";
export const CERTIFICATE_LABEL_VALUE = "self-managed";

/** Data of a Secret, base64 already decoded. */
export type SecretData = Readonly<Record<string, string>>;

export interface StoredSecret {
  readonly labels: Readonly<Record<string, string>>;
  readonly data: SecretData;
}

/** Everything as it is stored; undefined: the Secret does not exist. */
export interface StoredCertificates {
  /** Of the controller: ca.crt, ca.key, previous-ca.crt, previous-ca.key, previous-until. */
  readonly authority: StoredSecret | undefined;
  /** What admission mounts: tls.crt, tls.key, ca.crt. */
  readonly leaf: StoredSecret | undefined;
  readonly bundles: readonly StoredBundle[];
  /** DNS names and IP addresses that the leaf must have. */
  readonly names: readonly string[];
}

export interface StoredBundle {
  readonly configuration: string;
  /** The caBundle, base64 already decoded; empty when there is none. */
  readonly pem: string;
  /** From {@link BundleSightings}. */
  readonly seenSinceMs: number;
}

/** The whole new data of one of the two Secrets: nothing of the old data is to stay. */
export interface SecretWrite {
  readonly secret: "authority" | "leaf";
  readonly data: SecretData;
}

/** Reads what is stored into what the planner knows. Never throws: what is broken becomes a state. */
export function readStored(stored: StoredCertificates): CertificateState {
  const authority = readSecret(stored.authority, "CA", readAuthority);
  const bundles = stored.bundles.map(readBundle);
  const known = authority.state === "ours" ? [authority.value.current, ...authority.value.previous] : [];
  const issuers = known.flatMap((ca) => readCertificate(ca.pem) ?? []);
  const leaf = readSecret(stored.leaf, "leaf", (data) => readLeaf(data, issuers, stored.names));
  return { authority, leaf, bundles };
}

function readSecret<Value>(
  secret: StoredSecret | undefined,
  what: string,
  read: (data: SecretData) => SecretState<Value>,
): SecretState<Value> {
  if (secret === undefined || Object.values(secret.data).every((value) => value === "")) return { state: "absent" };
  if (secret.labels[CERTIFICATE_LABEL] !== CERTIFICATE_LABEL_VALUE) {
    const label = `${CERTIFICATE_LABEL}=${CERTIFICATE_LABEL_VALUE}`;
    const problem =
      `Cannot use the ${what} Secret: found data without the label ${label}, wanted a Secret of Fairlead; ` +
      "delete it, or switch self-managed certificates off if another tool keeps it";
    return { state: "foreign", problem };
  }
  return read(secret.data);
}

function readAuthority(data: SecretData): SecretState<AuthorityState> {
  const previous = readCertificates(data["previous-ca.crt"] ?? "").certificates;
  const current = readCertificate(data["ca.crt"] ?? "");
  const readable = [...(current === undefined ? [] : [current]), ...previous].map((ca) => ca.facts);
  if (current === undefined) return { state: "broken", problem: "ca.crt holds no certificate", readable };
  if (!current.x509.ca) return { state: "broken", problem: "ca.crt is not a CA", readable: readable.slice(1) };
  if (!keyMatches(current.x509, data["ca.key"] ?? "")) {
    return { state: "broken", problem: "ca.key does not belong to ca.crt", readable };
  }
  const untilMs = Date.parse(data["previous-until"] ?? "");
  const newest = previous[0];
  return {
    state: "ours",
    value: {
      current: current.facts,
      previous: previous.map((ca) => ca.facts),
      previousCanSign: newest !== undefined && keyMatches(newest.x509, data["previous-ca.key"] ?? ""),
      previousUntilMs: Number.isNaN(untilMs) ? undefined : untilMs,
    },
  };
}

function readLeaf(
  data: SecretData,
  issuers: readonly ReadCertificate[],
  names: readonly string[],
): SecretState<LeafState> {
  const certificate = readCertificate(data["tls.crt"] ?? "");
  if (certificate === undefined) return { state: "broken", problem: "tls.crt holds no certificate", readable: [] };
  if (!keyMatches(certificate.x509, data["tls.key"] ?? "")) {
    return { state: "broken", problem: "tls.key does not belong to tls.crt", readable: [] };
  }
  return {
    state: "ours",
    value: {
      certificate: certificate.facts,
      issuer: issuers.find((ca) => isIssuedBy(certificate.x509, ca.x509))?.facts.fingerprint,
      missingNames: missingNames(certificate.x509, names),
    },
  };
}

function readBundle({ configuration, pem, seenSinceMs }: StoredBundle): BundleState {
  const { certificates, readable } = readCertificates(pem);
  return {
    configuration,
    certificates: certificates.map(({ facts, ours }) => ({ ...facts, ours })),
    readable,
    seenSinceMs,
  };
}

/**
 * Makes what an action asks for; the caller writes it with the resourceVersion that `stored` was read at, so that of
 * two leaders only one gets through.
 */
export async function carryOut(action: SecretAction, stored: StoredCertificates, nowMs: number): Promise<SecretWrite> {
  const held = stored.authority?.data ?? {};
  const current = { "ca.crt": held["ca.crt"] ?? "", "ca.key": held["ca.key"] ?? "" };
  switch (action.type) {
    case "create-ca": {
      const { certPem, keyPem } = await createAuthority(nowMs);
      const previous = {
        "previous-ca.crt": action.keep.map((ca) => ca.pem).join(""),
        "previous-ca.key": action.keepKey ? current["ca.key"] : "",
        "previous-until": action.keepUntilMs === undefined ? "" : new Date(action.keepUntilMs).toISOString(),
      };
      return authorityWrite({ "ca.crt": certPem, "ca.key": keyPem }, action.keep.length > 0 ? previous : {});
    }
    case "retire-previous":
      return authorityWrite(current, {
        "previous-ca.crt": held["previous-ca.crt"] ?? "",
        "previous-until": new Date(action.untilMs).toISOString(),
      });
    case "drop-previous":
      return authorityWrite(current, {});
    case "sign-leaf": {
      const prefix = action.by === "previous" ? "previous-" : "";
      const certPem = readCertificate(held[`${prefix}ca.crt`] ?? "")?.facts.pem ?? "";
      const leaf = await signLeaf({ certPem, keyPem: held[`${prefix}ca.key`] ?? "" }, { names: stored.names, nowMs });
      return { secret: "leaf", data: { "tls.crt": leaf.certPem, "tls.key": leaf.keyPem, "ca.crt": certPem } };
    }
    default:
      return unreachable(action);
  }
}

function authorityWrite(current: SecretData, previous: SecretData): SecretWrite {
  const filled = Object.entries(previous).filter(([, value]) => value !== "");
  return { secret: "authority", data: { ...current, ...Object.fromEntries(filled) } };
}

function unreachable(value: never): never {
  throw new Error(`Cannot carry out an unknown certificate action: ${String(value)}`);
}
