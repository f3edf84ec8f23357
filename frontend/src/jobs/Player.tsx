import { useEffect, useRef, useState } from "react";
import { useFile } from "../api/file";
import { stableUrl } from "../api/stableUrl";
import type { Asset } from "../api/types";
import { Button, IconButton } from "../ui/controls";
import { clock } from "../ui/format";
import { Icon } from "../ui/Icon";
import { isTyping } from "../ui/keys";
import { cannotPlay, frameAt, fullScreen, timeOfFrame } from "./playing";

interface PlayerProps {
  asset: Asset;
  fps: number;
  /** Asks for the asset again: its address may have ended. */
  askAgain: () => Promise<unknown>;
}

/** Plays a silent video: play and pause, a seek bar, single frames, loop and full screen. */
export function Player({ asset, fps, askAgain }: PlayerProps) {
  const root = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const file = useFile(`content ${asset.id}`, asset.urls.content, askAgain);
  const [playing, setPlaying] = useState(false);
  const [time, setTime] = useState(0);
  const [loop, setLoop] = useState(true);
  const [unplayable, setUnplayable] = useState(false);
  const [length, setLength] = useState(asset.duration ?? 0);
  useFrameTime(video, playing, setTime);

  const toggle = () => {
    const player = video.current;
    if (player?.paused) void player.play().catch((error) => cannotPlay(error) && setUnplayable(true));
    else player?.pause();
  };
  const seek = (to: number) => {
    const player = video.current;
    if (!player) return;
    const at = timeOfFrame(frameAt(to, fps), fps, length);
    player.currentTime = at;
    setTime(at);
  };
  const step = (frames: number) => seek(timeOfFrame(frameAt(time, fps) + frames, fps, length));
  const keys = (event: KeyboardEvent) => {
    if (isTyping(event.target)) return;
    const target = event.target as HTMLElement;
    const steps = new Map<string, () => void>([
      ["k", toggle],
      [",", () => step(-1)],
      [".", () => step(1)],
      ["f", () => fullScreen(root.current, video.current)],
      ["l", () => setLoop(!loop)],
    ]);
    // Elsewhere these scroll, or belong to what has the focus.
    if (root.current?.contains(target) && !target.closest("button, input")) {
      steps.set(" ", toggle);
      steps.set("ArrowLeft", () => seek(time - 0.5));
      steps.set("ArrowRight", () => seek(time + 0.5));
    }
    const act = steps.get(event.key);
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };

  useKeys(keys);

  if (unplayable || file.state === "failed") {
    const again = () => {
      setUnplayable(false);
      file.retry();
    };
    return <PlayerFailed asset={asset} onRetry={again} />;
  }
  return (
    <div className="player" ref={root} tabIndex={-1} data-playing={playing}>
      <video
        key={file.attempt}
        ref={video}
        src={file.url}
        poster={stableUrl(`thumbnail ${asset.id}`, asset.urls.thumbnail)}
        muted
        playsInline
        loop={loop}
        autoPlay={!window.matchMedia("(prefers-reduced-motion: reduce)").matches}
        aria-label="The finished video"
        onClick={toggle}
        onPlay={() => setPlaying(true)}
        onPause={() => setPlaying(false)}
        onTimeUpdate={(event) => setTime(event.currentTarget.currentTime)}
        onLoadedMetadata={(event) => {
          setLength(event.currentTarget.duration);
          // Another address of the same video goes on where the first one ended.
          if (time > 0) event.currentTarget.currentTime = time;
        }}
        onError={() => {
          setPlaying(false);
          file.onError();
        }}
      />
      <div className="player-bar">
        <IconButton
          icon={playing ? "pause" : "play"}
          label={playing ? "Pause" : "Play"}
          keys="k"
          onClick={toggle}
        />
        <input
          type="range"
          className="player-seek"
          aria-label="Seek"
          aria-valuetext={`${time.toFixed(1)} of ${length.toFixed(1)} seconds`}
          min={0}
          max={length || 1}
          step={1 / fps}
          value={Math.min(time, length)}
          style={
            { "--share": `${length ? (Math.min(time, length) / length) * 100 : 0}%` } as React.CSSProperties
          }
          onChange={(event) => seek(Number(event.target.value))}
        />
        <span className="player-time">
          {clock(time)} <span className="player-length">/ {clock(length)}</span>
        </span>
        <IconButton icon="loop" label="Loop" keys="l" pressed={loop} onClick={() => setLoop(!loop)} />
        <IconButton
          icon="expand"
          label="Full screen"
          keys="f"
          onClick={() => fullScreen(root.current, video.current)}
        />
      </div>
    </div>
  );
}

/** The page of a video has one player: its keys work wherever the focus is. */
function useKeys(onKey: (event: KeyboardEvent) => void): void {
  const latest = useRef(onKey);
  latest.current = onKey;
  useEffect(() => {
    const listen = (event: KeyboardEvent) => latest.current(event);
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
}

/** `timeupdate` comes four times a second; while it plays, the bar follows every drawn frame. */
function useFrameTime(
  video: React.RefObject<HTMLVideoElement | null>,
  playing: boolean,
  setTime: (time: number) => void,
): void {
  useEffect(() => {
    if (!playing) return;
    let frame = 0;
    const follow = () => {
      if (video.current && !video.current.seeking) setTime(video.current.currentTime);
      frame = requestAnimationFrame(follow);
    };
    frame = requestAnimationFrame(follow);
    return () => cancelAnimationFrame(frame);
  }, [video, playing, setTime]);
}

const PlayerFailed = ({ asset, onRetry }: { asset: Asset; onRetry: () => void }) => (
  <div className="player-failed" role="alert">
    <Icon name="alert" size={28} />
    <p>This browser could not play the video. Try again, or download it and play it on your machine.</p>
    <Button icon="again" onClick={onRetry}>
      Try again
    </Button>
    <a className="button" href={asset.urls.download} download>
      <Icon name="download" /> <span>Download MP4</span>
    </a>
  </div>
);
