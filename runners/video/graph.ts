import { fault } from './ffmpeg';
import type { Composition, Layer, Media } from './jobs';

/** A file of the composition, as an input of ffmpeg. */
export interface Input {
  index: number;
  media: Media;
}

type Placed = { start: number; seconds?: number | undefined; fadeIn: number; fadeOut: number };
type Clip = Extract<Layer, { kind: 'clip' }>;
type Image = Extract<Layer, { kind: 'image' }>;
type Title = Extract<Layer, { kind: 'title' }>;

const RATE = 48_000;
/** How the music gives way to a voice: at once, and back over half a second. */
const DUCKING = 'threshold=0.02:ratio=12:attack=20:release=500';

/** The filter graph of a composition: its picture is `[picture]`, its sound, if it has any, `[sound]`. */
export class Graph {
  private readonly filters: string[] = [];
  private readonly voices: string[] = [];
  private readonly music: string[] = [];
  private names = 0;

  constructor(
    private readonly composition: Composition,
    private readonly inputs: ReadonlyMap<string, Input>,
    texts: readonly string[],
  ) {
    const { width, height, fps, seconds, background } = composition;
    let picture = this.add('', `color=c=${colorOf(background)}:s=${width}x${height}:r=${fps}:d=${seconds}`);
    for (const [index, layer] of composition.layers.entries())
      picture = layer.kind === 'title' ? this.title(picture, layer, texts[index] ?? '') : this.overlay(picture, layer);
    this.filters.push(`${picture}format=yuv420p[picture]`);
    for (const track of composition.audio) this.track(track, track.ducked ? this.music : this.voices);
    this.mixAll();
  }

  get hasSound(): boolean {
    return this.voices.length + this.music.length > 0;
  }

  text(): string {
    return this.filters.join(';\n');
  }

  private overlay(picture: string, layer: Clip | Image): string {
    const { index, media } = this.input(layer.from);
    if (media.width === 0) throw fault('video_bad_media', `${layer.from} has no picture`);
    const { start, end } = this.spanOf(layer, layer.kind === 'clip' ? media.seconds - layer.trimStart : Infinity);
    const width = layer.width ?? this.composition.width;
    const height = layer.height ?? this.composition.height;
    const length = end - start;
    const source =
      layer.kind === 'clip'
        ? `trim=start=${layer.trimStart}:duration=${length},setpts=PTS-STARTPTS,fps=${this.composition.fps}`
        : // One frame, shown again and again.
          `trim=end_frame=1,loop=loop=-1:size=1,setpts=N/(${this.composition.fps}*TB),fps=${this.composition.fps},trim=duration=${length}`;
    const shape =
      layer.fit === 'cover'
        ? `scale=${width}:${height}:force_original_aspect_ratio=increase,crop=${width}:${height}`
        : `scale=${width}:${height}:force_original_aspect_ratio=decrease,format=yuva420p,pad=${width}:${height}:(ow-iw)/2:(oh-ih)/2:color=black@0`;
    const shown = this.add(
      `[${index}:V:0]`,
      [
        ...[source, shape, 'setsar=1', 'format=yuva420p', `colorchannelmixer=aa=${layer.opacity}`],
        ...fades(layer, length, 'fade', ':alpha=1'),
        `setpts=PTS+${start}/TB`,
      ].join(','),
    );
    if (layer.kind === 'clip' && layer.volume > 0 && media.hasAudio)
      this.track({ ...layer, seconds: length }, this.voices);
    return this.add(
      `${picture}${shown}`,
      `overlay=x=${layer.x}:y=${layer.y}:eof_action=pass:enable='between(t,${start},${end - 0.0001})'`,
    );
  }

  private title(picture: string, layer: Title, path: string): string {
    const { start, end } = this.spanOf(layer, Infinity);
    const { fadeIn, fadeOut, place, size, color, background } = layer;
    const y = { center: '(h-text_h)/2', top: 'h*0.08', bottom: 'h*0.92-text_h' }[place];
    const rising = fadeIn > 0 ? `(t-${start})/${fadeIn}` : '1';
    const falling = fadeOut > 0 ? `(${end}-t)/${fadeOut}` : '1';
    const box =
      background === undefined ? '' : `:box=1:boxborderw=${Math.ceil(size / 4)}:boxcolor=${colorOf(background)}`;
    return this.add(
      picture,
      `drawtext=textfile='${path}':expansion=none:font=Sans:fontsize=${size}:fontcolor=${colorOf(color)}:x=(w-text_w)/2:y=${y}${box}` +
        `:alpha='max(0,min(1,min(${rising},${falling})))':enable='between(t,${start},${end - 0.0001})'`,
    );
  }

  private track(track: Placed & { from: string; trimStart: number; volume: number }, into: string[]): void {
    const { index, media } = this.input(track.from);
    if (!media.hasAudio) throw fault('video_bad_media', `${track.from} has no sound`);
    const { start, end } = this.spanOf(track, media.seconds - track.trimStart);
    const length = end - start;
    into.push(
      this.add(
        `[${index}:a:0]`,
        [
          ...[`atrim=start=${track.trimStart}:duration=${length}`, 'asetpts=PTS-STARTPTS'],
          ...[`aresample=${RATE}`, 'aformat=sample_fmts=fltp:channel_layouts=stereo', `volume=${track.volume}`],
          ...fades(track, length, 'afade', ''),
          `adelay=delays=${Math.round(start * 1000)}:all=1`,
          // All have the same length, so that the mix never waits for one.
          `apad=whole_dur=${this.composition.seconds}`,
        ].join(','),
      ),
    );
  }

  private mixAll(): void {
    const voice = this.mix(this.voices);
    const music = this.mix(this.music);
    if (voice === null && music === null) return;
    const mixed = voice === null || music === null ? (voice ?? music ?? '') : this.duck(voice, music);
    this.filters.push(`${mixed}alimiter=limit=0.97:level=0,atrim=duration=${this.composition.seconds}[sound]`);
  }

  private duck(voice: string, music: string): string {
    const [heard, steering, ducked] = [this.name(), this.name(), this.name()];
    this.filters.push(
      `${voice}asplit=2${heard}${steering}`,
      `${music}${steering}sidechaincompress=${DUCKING}${ducked}`,
    );
    return this.add(`${heard}${ducked}`, 'amix=inputs=2:normalize=0');
  }

  private mix(tracks: string[]): string | null {
    if (tracks.length < 2) return tracks[0] ?? null;
    return this.add(tracks.join(''), `amix=inputs=${tracks.length}:normalize=0`);
  }

  private spanOf({ start, seconds }: Placed, longest: number): { start: number; end: number } {
    const { seconds: whole } = this.composition;
    const end = Math.min(whole, start + Math.min(seconds ?? Infinity, longest));
    if (end <= start) throw fault('video_bad_time', `what begins at ${start} s has nothing to show before ${whole} s`);
    return { start, end };
  }

  private input(url: string): Input {
    const found = this.inputs.get(url);
    if (found === undefined) throw new Error(`no input ${url}`);
    return found;
  }

  private add(from: string, filter: string): string {
    const name = this.name();
    this.filters.push(`${from}${filter}${name}`);
    return name;
  }

  private name(): string {
    this.names += 1;
    return `[n${this.names}]`;
  }
}

function fades({ fadeIn, fadeOut }: Placed, length: number, filter: string, more: string): string[] {
  return [
    ...(fadeIn > 0 ? [`${filter}=t=in:st=0:d=${fadeIn}${more}`] : []),
    ...(fadeOut > 0 ? [`${filter}=t=out:st=${Math.max(0, length - fadeOut)}:d=${fadeOut}${more}`] : []),
  ];
}

function colorOf(color: string): string {
  return `0x${color.slice(1)}`;
}
