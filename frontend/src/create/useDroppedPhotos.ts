import { useEffect, useRef, useState } from "react";
import { takeFiles } from "../ui/drops";

/** Photos that are dropped or pasted anywhere on the page; whether some are held over it right now. */
export function useDroppedPhotos(onPhotos: (files: File[]) => void): boolean {
  const [over, setOver] = useState(false);
  const take = useRef(onPhotos);
  take.current = onPhotos;
  useEffect(() => {
    const files = (dropped: File[]) => take.current(dropped);
    const stop = takeFiles(window, { over: setOver, files });
    const paste = (event: ClipboardEvent) => {
      const pasted = [...(event.clipboardData?.files ?? [])];
      if (pasted.length > 0) files(pasted);
    };
    window.addEventListener("paste", paste);
    return () => {
      stop();
      window.removeEventListener("paste", paste);
    };
  }, []);
  return over;
}
