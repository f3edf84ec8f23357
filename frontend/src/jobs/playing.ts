/** Positions are set a quarter into a frame: on its edge, rounding would show the frame before. */
const INTO = 0.25;
const ROUNDING = 0.01;

export const frameAt = (time: number, fps: number): number => Math.floor(time * fps + ROUNDING);

/** Where to seek so that frame `index`, counted from 0, is seen; within a video of `length` seconds. */
export function timeOfFrame(index: number, fps: number, length: number): number {
  const last = Math.max(0, Math.round(length * fps) - 1);
  const shown = Math.min(last, Math.max(0, index));
  return shown === 0 ? 0 : (shown + INTO) / fps;
}

/** Whether play() was refused because the video cannot be played: not when a pause or the browser came between. */
export const cannotPlay = (error: unknown): boolean =>
  !(error instanceof DOMException && ["AbortError", "NotAllowedError"].includes(error.name));

interface PhoneVideo extends HTMLVideoElement {
  /** From when its size is known. */
  webkitSupportsFullscreen?: boolean;
  webkitEnterFullscreen?: () => void;
}

/** Into full screen and back. An iPhone gives it to videos alone, with its own controls, and leaves it by them. */
export function fullScreen(player: HTMLElement | null, video: PhoneVideo | null): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else if (player?.requestFullscreen) void player.requestFullscreen().catch(() => undefined);
  else if (video?.webkitSupportsFullscreen) video.webkitEnterFullscreen?.();
}
