import { useEffect, useRef, useState } from "react";
import { takeFiles } from "../ui/drops";
import { takePastes } from "../ui/pastes";

/** Photos that are dropped or pasted anywhere on the page; whether some are held over it right now. */
export function useDroppedPhotos(onPhotos: (files: File[]) => void): boolean {
  const [over, setOver] = useState(false);
  const take = useRef(onPhotos);
  take.current = onPhotos;
  useEffect(() => {
    const files = (given: File[]) => take.current(given);
    const stops = [takeFiles(window, { over: setOver, files }), takePastes(window, files)];
    return () => {
      for (const stop of stops) stop();
    };
  }, []);
  return over;
}
