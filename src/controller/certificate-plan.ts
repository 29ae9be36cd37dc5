/**
 * What to do next about the certificates, as a pure function of what is stored and of the time. The rules:
 * a leaf is signed only by a CA that every webhook configuration already carries; a CA leaves the bundle only when
 * no leaf of it can be served any more. So a client with any of the bundles accepts a replica with any of the leaves.
 */

const DAY_MS = 24 * 60 * 60_000;
/** Long enough that a cluster that was switched off for months finds a CA it can renew from. */
export const CA_LIFETIME_MS = 365 * DAY_MS;
/** Short, because the admission pods hold this key; it also bounds how long an old CA stays in the bundle. */
export const LEAF_LIFETIME_MS = 7 * DAY_MS;
/** The share of its life after which a certificate is renewed, as cert-manager has it. */
const RENEW_AFTER = 2 / 3;
/** Clocks of leaders and API servers may differ by this; kept out of every deadline that others depend on. */
export const CLOCK_SKEW_MS = 5 * 60_000;
/** API servers see a new caBundle through a watch; a second is usual, a restarted one takes a few. */
export const BUNDLE_SETTLE_MS = 10_000;
/** CAs kept besides the current one: a Secret would have to break this often within the life of one leaf. */
const PREVIOUS_MAX = 8;
/** A safety net under the deadlines: the plan is made anew at least this often. */
const CHECK_INTERVAL_MAX_MS = 60 * 60_000;

export interface CertificateFacts {
  readonly pem: string;
  /** SHA-256, as node:crypto prints it. */
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** `foreign`: somebody else's, never touched. `broken`: ours but unusable; `readable` is what could still be read. */
export type SecretState<Value> =
  | { readonly state: "absent" }
  | { readonly state: "foreign"; readonly problem: string }
  | { readonly state: "broken"; readonly problem: string; readonly readable: readonly CertificateFacts[] }
  | { readonly state: "ours"; readonly value: Value };

export interface AuthorityState {
  readonly current: CertificateFacts;
  /** Older CAs that stay in the bundle, newest first. */
  readonly previous: readonly CertificateFacts[];
  /** True while the key of `previous[0]` is kept, that is, until the first leaf of the current CA. */
  readonly previousCanSign: boolean;
  /** When the last leaf of `previous` has expired; undefined while one of them can still sign. */
  readonly previousUntilMs: number | undefined;
}

export interface LeafState {
  readonly certificate: CertificateFacts;
  /** Fingerprint of the CA that signed it, if it is one that we know. */
  readonly issuer: string | undefined;
  readonly missingNames: readonly string[];
}

/** The caBundle of one webhook of a configuration. */
export interface BundleState {
  readonly configuration: string;
  readonly certificates: readonly (CertificateFacts & { readonly ours: boolean })[];
  /** False when there is something in it that is no certificate. */
  readonly readable: boolean;
  /** When the caller first saw this content; see {@link BundleSightings}. */
  readonly seenSinceMs: number;
}

export interface CertificateState {
  readonly authority: SecretState<AuthorityState>;
  readonly leaf: SecretState<LeafState>;
  readonly bundles: readonly BundleState[];
}

/** A change to one of the two Secrets; `reason` is one line for log and Event. */
export type SecretAction =
  | {
      readonly type: "create-ca";
      readonly reason: string;
      readonly keep: readonly CertificateFacts[];
      /** The present key goes with `keep[0]`: it signs until the new CA is in every bundle. */
      readonly keepKey: boolean;
      /** When `keep` may leave the bundle; undefined while keepKey. */
      readonly keepUntilMs: number | undefined;
    }
  | { readonly type: "retire-previous"; readonly reason: string; readonly untilMs: number }
  | { readonly type: "drop-previous"; readonly reason: string }
  | { readonly type: "sign-leaf"; readonly reason: string; readonly by: "current" | "previous" };

/** Each is safe by itself from the state it was planned on: carry out any, read again, plan again. */
export type CertificateAction =
  | SecretAction
  | {
      readonly type: "set-bundle";
      readonly reason: string;
      readonly configurations: readonly string[];
      readonly pem: string;
    }
  | { readonly type: "report"; readonly reason: string };

export interface CertificatePlan {
  readonly actions: readonly CertificateAction[];
  /** When to plan again if nothing changes before, milliseconds since 1970. */
  readonly nextCheckMs: number;
}

export function planCertificates(state: CertificateState, nowMs: number): CertificatePlan {
  const foreign = [state.authority, state.leaf].flatMap((secret) =>
    secret.state === "foreign" ? [secret.problem] : [],
  );
  if (foreign.length > 0) {
    const actions = foreign.map((reason) => ({ type: "report" as const, reason }));
    return { actions, nextCheckMs: nowMs + CHECK_INTERVAL_MAX_MS };
  }
  if (state.authority.state !== "ours") return planFirstAuthority(state, nowMs);
  const authority = state.authority.value;
  const actions = [
    ...planAuthority(authority, state, nowMs),
    ...planBundles(authority, state.bundles, nowMs),
    ...planLeaf(authority, state, nowMs),
  ];
  return { actions, nextCheckMs: nextCheck(authority, state, nowMs) };
}

/** No usable CA is stored: a new one, beside every CA of ours that may have signed what replicas still serve. */
function planFirstAuthority({ authority, bundles }: CertificateState, nowMs: number): CertificatePlan {
  const readable = authority.state === "broken" ? authority.readable : [];
  const bundled = bundles.flatMap((bundle) => bundle.certificates.filter((certificate) => certificate.ours));
  const reason = authority.state === "broken" ? `the CA Secret is broken: ${authority.problem}` : "there is no CA yet";
  const action = createAuthority(reason, [...readable, ...bundled], nowMs);
  return { actions: [action], nextCheckMs: nowMs + CHECK_INTERVAL_MAX_MS };
}

function createAuthority(reason: string, keep: readonly CertificateFacts[], nowMs: number): SecretAction {
  const alive = new Map(keep.filter((ca) => ca.notAfterMs > nowMs).map((ca) => [ca.fingerprint, ca]));
  const newest = [...alive.values()].sort((a, b) => b.notBeforeMs - a.notBeforeMs).slice(0, PREVIOUS_MAX);
  return { type: "create-ca", reason, keep: newest, keepKey: false, keepUntilMs: lastLeafUntilMs(nowMs) };
}

/** No leaf that was signed before now outlives this. */
function lastLeafUntilMs(nowMs: number): number {
  return nowMs + LEAF_LIFETIME_MS + CLOCK_SKEW_MS;
}

function planAuthority(authority: AuthorityState, { leaf }: CertificateState, nowMs: number): SecretAction[] {
  const { current, previous, previousCanSign, previousUntilMs } = authority;
  if (current.notAfterMs <= nowMs) return [createAuthority("the CA has expired", previous, nowMs)];
  if (previous.length > 0) {
    const allExpired = previous.every((ca) => ca.notAfterMs <= nowMs);
    if (allExpired || (previousUntilMs !== undefined && previousUntilMs <= nowMs)) {
      return [{ type: "drop-previous", reason: "no leaf of the previous CA can still be served" }];
    }
    const superseded = leaf.state === "ours" && leaf.value.issuer === current.fingerprint;
    if (previousUntilMs === undefined && (superseded || !previousCanSign)) {
      const reason = "the previous CA signs no more";
      return [{ type: "retire-previous", reason, untilMs: lastLeafUntilMs(nowMs) }];
    }
    // One rotation at a time: the next begins when this one has ended.
    return [];
  }
  if (renewalMs(current) > nowMs) return [];
  const reason = "the CA has passed two thirds of its life";
  return [{ type: "create-ca", reason, keep: [current], keepKey: true, keepUntilMs: undefined }];
}

function planBundles(authority: AuthorityState, bundles: readonly BundleState[], nowMs: number): CertificateAction[] {
  const wanted = [authority.current, ...authority.previous].filter((ca) => ca.notAfterMs > nowMs);
  const stale = bundles.filter(
    (bundle) =>
      !bundle.readable ||
      bundle.certificates.length !== wanted.length ||
      wanted.some((ca) => !carries(bundle, ca.fingerprint)),
  );
  if (wanted.length === 0 || stale.length === 0) return [];
  const configurations = [...new Set(stale.map((bundle) => bundle.configuration))];
  const reason = `the caBundle must hold ${wanted.length} CA${wanted.length === 1 ? "" : "s"}`;
  return [{ type: "set-bundle", reason, configurations, pem: wanted.map((ca) => ca.pem).join("") }];
}

function planLeaf(authority: AuthorityState, { leaf, bundles }: CertificateState, nowMs: number): CertificateAction[] {
  const { current, previous, previousCanSign } = authority;
  const usable = (ca: CertificateFacts): boolean => ca.notAfterMs > nowMs && inEveryBundle(bundles, ca.fingerprint);
  const held = leaf.state === "ours" ? leaf.value : undefined;
  const byCurrent = held?.issuer === current.fingerprint;
  const urgent = urgentReason(leaf, authority, nowMs);
  // A leaf that works is replaced only when every API server has had time to see the new CA.
  const settled = urgent !== undefined || nowMs >= settledMs(bundles);
  const superseded = byCurrent ? undefined : "the leaf is signed by the previous CA";
  const reason = urgent ?? dueReason(held, nowMs) ?? (usable(current) ? superseded : undefined);
  if (reason === undefined || (usable(current) && !settled)) return [];
  if (usable(current)) return [{ type: "sign-leaf", reason, by: "current" }];
  const signer = previous[0];
  if (previousCanSign && signer !== undefined && usable(signer) && !byCurrent) {
    return [{ type: "sign-leaf", reason, by: "previous" }];
  }
  const missing = bundles.filter((bundle) => !carries(bundle, current.fingerprint)).map((b) => b.configuration);
  const waiting = missing.length > 0 ? missing.join(", ") : "a new CA";
  return [{ type: "report", reason: `Cannot sign a leaf yet (${reason}): waiting for the CA in ${waiting}` }];
}

/** Why the leaf cannot be served as it is. */
function urgentReason(leaf: SecretState<LeafState>, authority: AuthorityState, nowMs: number): string | undefined {
  if (leaf.state === "broken") return `the leaf Secret is broken: ${leaf.problem}`;
  if (leaf.state !== "ours") return "there is no leaf yet";
  const { certificate, issuer, missingNames } = leaf.value;
  if (certificate.notAfterMs <= nowMs) return "the leaf has expired";
  if (missingNames.length > 0) return `the leaf lacks the names ${missingNames.join(", ")}`;
  const known = [authority.current, ...authority.previous].some((ca) => ca.fingerprint === issuer);
  return known ? undefined : "the leaf is signed by an unknown CA";
}

function dueReason(leaf: LeafState | undefined, nowMs: number): string | undefined {
  const due = leaf !== undefined && renewalMs(leaf.certificate) <= nowMs;
  return due ? "the leaf has passed two thirds of its life" : undefined;
}

function carries(bundle: BundleState, fingerprint: string): boolean {
  return bundle.certificates.some((certificate) => certificate.fingerprint === fingerprint);
}

function inEveryBundle(bundles: readonly BundleState[], fingerprint: string): boolean {
  return bundles.every((bundle) => carries(bundle, fingerprint));
}

function settledMs(bundles: readonly BundleState[]): number {
  return Math.max(0, ...bundles.map((bundle) => bundle.seenSinceMs + BUNDLE_SETTLE_MS));
}

function renewalMs({ notBeforeMs, notAfterMs }: CertificateFacts): number {
  return notBeforeMs + (notAfterMs - notBeforeMs) * RENEW_AFTER;
}

function nextCheck(authority: AuthorityState, { leaf, bundles }: CertificateState, nowMs: number): number {
  const deadlines = [
    nowMs + CHECK_INTERVAL_MAX_MS,
    renewalMs(authority.current),
    authority.current.notAfterMs,
    authority.previousUntilMs ?? Number.POSITIVE_INFINITY,
    settledMs(bundles),
    ...(leaf.state === "ours" ? [renewalMs(leaf.value.certificate), leaf.value.certificate.notAfterMs] : []),
  ];
  return Math.min(...deadlines.filter((deadline) => deadline > nowMs));
}

/** Remembers since when each caBundle has its present content. One per process; a restart only waits once more. */
export class BundleSightings {
  readonly #sightings = new Map<string, { readonly pem: string; readonly sinceMs: number }>();

  /** `id` names one webhook of one configuration. */
  seenSinceMs(id: string, pem: string, nowMs: number): number {
    const known = this.#sightings.get(id);
    if (known?.pem === pem) return known.sinceMs;
    this.#sightings.set(id, { pem, sinceMs: nowMs });
    return nowMs;
  }
}
