// Photographs: from a file, the clipboard, the camera, or those that come with the page.

const MOST = 60e6; // pixels that are opened at all

// A picture as { name, width, height, pixels }, its longest side at most `side`.
function drawn(source, name, width, height, side) {
  const factor = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * factor));
  canvas.height = Math.max(1, Math.round(height * factor));
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  // What is transparent is white.
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(source, 0, 0, canvas.width, canvas.height);
  const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
  return { name, width: canvas.width, height: canvas.height, pixels: data };
}

// A file or what the clipboard holds; an Error says what is wrong with any other.
export async function opened(blob, name, side) {
  const picture = await createImageBitmap(blob).catch(() => {
    throw new Error(`${name} is no picture that this browser can open: give a JPEG, PNG or WebP`);
  });
  if (picture.width * picture.height > MOST) {
    throw new Error(`${name} has ${picture.width}×${picture.height} pixels: give one of at most 60 million`);
  }
  return drawn(picture, name, picture.width, picture.height, side);
}

// One of the photographs that come with the page.
export async function sample(name, side) {
  const answer = await fetch(new URL(`./photographs/${name}.jpg`, import.meta.url));
  return opened(await answer.blob(), `${name}.jpg`, side);
}

// Stretched to another size.
export async function warped(photograph, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [photograph.width, photograph.height];
  canvas.getContext("2d").putImageData(
    new ImageData(photograph.pixels, photograph.width, photograph.height), 0, 0);
  const to = document.createElement("canvas");
  [to.width, to.height] = [width, height];
  const brush = to.getContext("2d", { willReadFrequently: true });
  brush.imageSmoothingQuality = "high";
  brush.drawImage(canvas, 0, 0, width, height);
  return { ...photograph, width, height, pixels: brush.getImageData(0, 0, width, height).data };
}

// Ask for a picture of the camera in a dialog; gives a Blob, or null where none was taken.
export async function camera(dialog) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } })
    .catch(() => { throw new Error("the camera may not be used, or there is none: choose a file"); });
  const video = dialog.querySelector("video");
  video.srcObject = stream;
  dialog.showModal();
  try {
    await video.play();
    dialog.returnValue = "";
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "take") return null;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    return await new Promise((resolve) => canvas.toBlob(resolve));
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }
}
