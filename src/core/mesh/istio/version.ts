/** An Istio version, reduced to what decides which objects and fields it reads. */
export interface IstioVersion {
  /** As it was written: `1.24`, `1.24.3`. */
  readonly text: string;
  /** The 24 of 1.24. */
  readonly minor: number;
}

const OLDEST_MINOR = 20;
const NEWEST_MINOR = 31;

/** Used when nothing tells the version; an unknown newer version is read like it. */
export const NEWEST_ISTIO = `1.${NEWEST_MINOR}`;

/** The first minor with each of these, found by comparing the tags of istio.io/api (docs/istio.md, Versions). */
const ISTIO_FEATURES = {
  /** `v1` of the kinds of networking.istio.io and of PeerAuthentication; older ones serve v1beta1. */
  v1: 22,
  /** 503 is no longer among the answers that Istio retries by itself (istio#50506). */
  defaultRetryWithout503: 25,
} as const;

export type IstioFeature = keyof typeof ISTIO_FEATURES;

const VERSION = /^(?:v|istio-)?1\.([0-9]{1,4})(?:\.[0-9]{1,4})?(?:[-+][0-9A-Za-z.+-]{1,64})?$/;

/**
 * The version that `text` names: `1.24`, `v1.24.3`, also with a suffix as image tags have it (`1.24.3-distroless`).
 * Undefined for other text and below 1.20. A version newer than all we know counts as the newest.
 */
export function parseIstioVersion(text: string): IstioVersion | undefined {
  const minor = Number(VERSION.exec(text)?.[1] ?? 0);
  return minor < OLDEST_MINOR ? undefined : { text, minor: Math.min(minor, NEWEST_MINOR) };
}

export function istioHas({ minor }: IstioVersion, feature: IstioFeature): boolean {
  return minor >= ISTIO_FEATURES[feature];
}
