"""Conventions of such services that the vendor does not document: names, values, ranges.

A parameter of the catalogue takes these over by its name; what its own row says comes first. The
values and ranges are those of the Stable Diffusion web UI, which the `sd` family passes them to.
"""

from __future__ import annotations

from typing import Any

from .parameter import Group, Value

_SAMPLERS = (
    "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE",
    "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "DPM fast", "DPM adaptive", "Restart",
    "DDIM", "DDIM CFG++", "DDPM", "PLMS", "UniPC", "LCM",
)  # fmt: skip
_SCHEDULES = (
    "Karras", "Exponential", "Polyexponential", "SGM Uniform", "Uniform", "KL Optimal",
    "Align Your Steps", "Simple", "Normal", "DDIM", "Beta", "Automatic",
)  # fmt: skip
# The names that ComfyUI, diffusers and the web UI's own API have for the same samplers.
_ALSO = {
    "Euler a": ("k_euler_a", "euler_ancestral", "EulerAncestralDiscreteScheduler"),
    "Euler": ("k_euler", "EulerDiscreteScheduler"),
    "LMS": ("k_lms", "LMSDiscreteScheduler"),
    "Heun": ("k_heun", "HeunDiscreteScheduler"),
    "DPM2": ("k_dpm_2", "dpm_2", "KDPM2DiscreteScheduler"),
    "DPM2 a": ("k_dpm_2_a", "dpm_2_ancestral", "KDPM2AncestralDiscreteScheduler"),
    "DPM++ 2S a": ("k_dpmpp_2s_a", "dpmpp_2s_ancestral"),
    "DPM++ 2M": ("k_dpmpp_2m", "dpmpp_2m", "DPMSolverMultistepScheduler"),
    "DPM++ SDE": ("k_dpmpp_sde", "dpmpp_sde", "DPMSolverSDEScheduler"),
    "DPM++ 2M SDE": ("dpmpp_2m_sde",),
    "DPM++ 3M SDE": ("dpmpp_3m_sde",),
    "DPM++ 2M Karras": ("k_dpmpp_2m_ka", "dpmpp_2m_karras"),
    "DPM++ SDE Karras": ("k_dpmpp_sde_ka", "dpmpp_sde_karras"),
    "DDIM": ("DDIMScheduler",),
    "PLMS": ("PNDM", "PNDMScheduler"),
    "UniPC": ("uni_pc", "UniPCMultistepScheduler"),
    "LCM": ("LCMScheduler",),
}
SAMPLERS = tuple(
    Value(name, words=_ALSO.get(name, ()))
    for name in (*_SAMPLERS, *(f"{s} {schedule}" for s in _SAMPLERS for schedule in _SCHEDULES))
)
RESIZE_MODES = (
    Value(0, "just resize", ("resize", "stretch")),
    Value(1, "crop and resize", ("crop",)),
    Value(2, "resize and fill", ("fill", "pad")),
    Value(3, "just resize by latent upscale", ("latent", "latent upscale")),
)
FILLS = (
    Value(0, "fill from around"),
    Value(1, "original"),
    Value(2, "latent noise", ("noise",)),
    Value(3, "latent nothing", ("nothing",)),
)
INVERSIONS = (
    Value(0, "white is redrawn", ("no", "false", "off", "inpaint masked")),
    Value(1, "black is redrawn", ("yes", "true", "on", "inpaint not masked")),
)
POSITIONS = (
    Value("top-left", words=("left top", "upper left", "northwest", "nw")),
    Value("top-right", words=("right top", "upper right", "northeast", "ne")),
    Value("bottom-left", words=("left bottom", "lower left", "southwest", "sw")),
    Value("bottom-right", words=("right bottom", "lower right", "southeast", "se")),
    Value("center", words=("centre", "middle", "mid", "centered", "middle center")),
    Value("tile", words=("tiled", "repeat", "everywhere", "all over", "all")),
)
CAPTION_MODELS = (
    Value("clip", "a sentence", ("caption",)),
    Value("deepdanbooru", "tags", ("deepbooru", "danbooru", "tagger")),
)
FLUX_MODELS = (
    Value("Flux1DevFP8", words=("dev", "flux-dev", "flux.1-dev", "flux1-dev")),
    Value("Flux1SchnellFP8", words=("schnell", "flux-schnell", "flux.1-schnell", "flux1-schnell")),
)
EXPANSIONS = (Value(0, "SD", ("sd15", "sd1.5")), Value(1, "SDXL", ("xl",)))
FORMATS = (Value("png"), Value("jpg", words=("jpeg",)), Value("webp"))
# The web UI's preprocessors that the sandbox knows; the service may know more.
PREPROCESSORS = (
    Value("canny", "thin edges"),
    Value("lineart", "lines of varying strength"),
    Value("softedge", "soft edges"),
    Value("scribble", "a few coarse lines"),
    Value("openpose", "skeletons of people"),
    Value("segmentation", "the subject in white"),
    Value("pseudo_depth", "not true depth: a gradient behind the subject"),
    Value("invert", "the negative"),
)
HAIR_COLOURS = tuple(
    Value(name)
    for name in (
        "black", "brown", "chestnut", "auburn", "red", "ginger", "copper", "orange", "blonde",
        "golden", "yellow", "green", "teal", "turquoise", "blue", "purple", "violet", "pink",
        "silver", "grey", "white",
    )
)  # fmt: skip
_PIXELS = {"least": 1, "usual": (64, 4096), "unit": "in pixels"}

# What the image is called that receives a face: there, the source is the one that gives it.
RECEIVER: dict[str, Any] = {"title": "Image to change", "aliases": (
    "target", "target_image", "target_img", "img", "picture", "photo", "input_image",
    "base_image", "image_url", "init_image",
)}  # fmt: skip

# Keys are the names of parameters, values the members of `Param` that they take over.
CONVENTIONS: dict[str, dict[str, Any]] = {
    "image": {"aliases": (
        "img", "picture", "photo", "input", "file", "image_link", "image_url", "init_image",
        "init_images", "init_img", "input_image", "source_image", "control_image", "image_path",
        "pic",
    )},
    "images": {"aliases": ("image", "pictures", "photos", "files", "image_urls", "dataset")},
    "mask": {"aliases": (
        "mask_image", "mask_link", "mask_url", "mask_img", "inpaint_mask", "image_mask",
    )},
    "face": {"aliases": (
        "source", "source_face", "source_image", "source_img", "face_image", "face_url",
        "swap_image",
    )},
    "faces": {"aliases": (
        "face", "source", "sources", "source_faces", "source_image", "source_images", "face_images",
    )},
    "prompt": {"aliases": ("positive_prompt", "positive", "prompts")},
    "negative_prompt": {"aliases": ("negative", "neg", "neg_prompt", "negative_prompts")},
    "model": {"aliases": (
        "checkpoint", "ckpt", "ckpt_name", "model_id", "model_name", "sd_model", "sd_checkpoint",
        "sd_model_checkpoint",
    )},
    "batches": {"least": 1, "usual": (1, 100), "aliases": (
        "n_iter", "batch_count", "num_images", "num_batches", "iterations", "number_of_images",
        "count", "n", "num_outputs", "num_samples",
    )},
    "batch_size": {"least": 1, "usual": (1, 16), "aliases": (
        "num_images_per_prompt", "images_per_prompt", "train_batch_size",
    )},
    "steps": {"least": 1, "usual": (1, 150), "aliases": (
        "num_inference_steps", "inference_steps", "sampling_steps", "sample_steps", "num_steps",
        "step", "ddim_steps",
    )},
    "seed": {"least": -1, "aliases": ("random_seed", "noise_seed")},
    "restore_faces": {"aliases": ("face_restoration", "restore_face")},
    "hires": {"aliases": ("enable_hr", "hr", "hires_fix", "highres_fix", "highres")},
    "hires_scale": {"least": 1, "usual": (1, 4), "aliases": (
        "hr_scale", "hires_upscale", "upscale_by", "hr_upscale",
    )},
    "hires_steps": {"least": 0, "usual": (0, 150), "aliases": (
        "hr_steps", "hr_second_pass_steps", "hires_second_pass_steps",
    )},
    "hires_upscaler": {"aliases": ("hr_upscaler", "upscaler", "upscaler_name")},
    "hires_height": {**_PIXELS, "least": 0, "usual": (0, 4096)},
    "hires_width": {**_PIXELS, "least": 0, "usual": (0, 4096)},
    "width": {**_PIXELS, "aliases": ("w", "image_width", "output_width")},
    "height": {**_PIXELS, "aliases": ("h", "image_height", "output_height")},
    "guidance": {"least": 0, "usual": (0, 30), "unit": "usually 1 to 30", "aliases": (
        "cfg_scale", "guidance_scale", "cfg", "classifier_free_guidance", "prompt_guidance",
        "distilled_cfg_scale",
    )},
    "sampler": {"values": SAMPLERS, "aliases": (
        "sampler_name", "sampler_index", "sampling_method", "sample_method",
    )},
    "denoising": {"least": 0, "most": 1, "unit": "0 keeps, 1 redraws everything", "aliases": (
        "denoising_strength", "strength", "denoise", "denoise_strength", "img2img_strength",
        "prompt_strength",
        "hr_denoising_strength",
    )},
    "vae": {"aliases": ("sd_vae", "vae_name")},
    "settings": {"aliases": ("override_settings", "overrides")},
    "clip_skip": {"least": 1, "most": 12, "aliases": ("skip_clip",)},
    "format": {"values": FORMATS, "aliases": (
        "output_format", "image_format", "output_image_format", "file_format",
    )},
    "resize_mode": {"values": RESIZE_MODES},
    "mask_blur": {"least": 0, "usual": (0, 256), "unit": "in pixels"},
    "mask_blur_x": {"least": 0, "usual": (0, 256), "unit": "in pixels"},
    "mask_blur_y": {"least": 0, "usual": (0, 256), "unit": "in pixels"},
    "inpaint_fill": {"values": FILLS, "aliases": (
        "inpainting_fill", "mask_content", "masked_content", "inpaint_mode", "fill",
    )},
    "inpaint_full_resolution": {"aliases": (
        "inpaint_full_res", "inpaint_area", "inpaint_only_masked", "only_masked",
    )},
    "inpaint_padding": {"least": 0, "usual": (0, 512), "unit": "in pixels", "aliases": (
        "inpaint_full_res_padding", "only_masked_padding", "padding_mask_crop", "padding",
    )},
    "mask_invert": {"values": INVERSIONS, "aliases": (
        "inpainting_mask_invert", "invert_mask", "inverted_mask", "mask_mode",
    )},
    "noise": {"least": 0, "usual": (0, 2), "aliases": (
        "initial_noise_multiplier", "noise_multiplier",
    )},
    "image_guidance": {"least": 0, "usual": (0, 30), "aliases": (
        "image_cfg_scale", "image_guidance_scale", "image_cfg",
    )},
    "control": {"aliases": ("controlnet", "control_net", "controlnet_units", "control_units")},
    "preprocessor": {"values": PREPROCESSORS, "open_values": True, "aliases": (
        "module", "controlnet_module", "controlnet_preprocessor", "processor", "annotator",
    )},
    "hair": {"values": HAIR_COLOURS, "open_values": True, "aliases": (
        "hair_style", "hair_color", "hair_colour", "hairstyle", "color", "colour", "style",
    )},
    "scale": {"aliases": (
        "factor", "upscale_factor", "scale_factor", "upscale", "upscale_by", "upscaling_resize",
        "times", "ratio", "zoom", "outscale",
    )},
    "fidelity": {"aliases": (
        "codeformer_fidelity", "codeformer_weight", "fidelity_weight", "weight",
    )},
    "text": {"aliases": ("watermark_text", "caption", "words", "label")},
    "watermark": {"aliases": (
        "watermark_image", "watermark_url", "logo", "overlay", "stamp", "mark",
    )},
    "position": {"values": POSITIONS, "aliases": ("place", "pos", "anchor", "gravity", "location")},
    "opacity": {"aliases": ("alpha", "watermark_opacity", "strength")},
    "vertical": {"usual": (1, 4), "aliases": (
        "vertical_ratio", "vertical_expansion", "expand_vertical", "height_ratio",
    )},
    "horizontal": {"usual": (1, 4), "aliases": (
        "horizontal_ratio", "horizontal_expansion", "expand_horizontal", "width_ratio",
    )},
    "count": {"least": 1, "usual": (1, 100), "aliases": (
        "num_images", "number_of_images", "n_iter", "batch_count", "batch_size", "n", "number",
        "num", "num_outputs", "num_samples", "num_return_sequences", "num_prompts",
        "num_images_per_prompt",
    )},
    "face_index": {"aliases": ("face_number", "face_idx", "faces_index", "target_face")},
    "mode": {"values": EXPANSIONS},
    "temperature": {"least": 0, "usual": (0, 2)},
    "repetition_penalty": {"least": 0, "usual": (0.5, 3)},
    "max_tokens": {"least": 1, "unit": "in tokens", "aliases": ("max_length", "max_new_tokens")},
    "min_tokens": {"least": 0, "unit": "in tokens", "aliases": ("min_length", "min_new_tokens")},
    "top_k": {},
    "top_p": {"most": 1},
    "page_size": {"least": 1, "usual": (1, 1000), "aliases": (
        "per_page", "limit", "size",
    )},
    "page": {"least": 1, "aliases": ("page_num", "page_number")},
    "task": {"aliases": ("id", "task_id", "job", "job_id", "training_id")},
    "callback_url": {"aliases": ("callback", "webhook", "webhook_url")},
    "base_model": {"aliases": (
        "model", "checkpoint", "ckpt", "pretrained_model", "pretrained_model_name_or_path",
    )},
    "epochs": {"aliases": ("epoch", "num_epochs", "num_train_epochs",
                                             "max_train_epochs")},
    "learning_rate": {"aliases": ("lr",)},
    "repeats": {"least": 1, "usual": (1, 200), "aliases": ("num_repeats",)},
    "resolution": {"least": 64, "usual": (256, 2048), "unit": "in pixels"},
    "min_bucket": {"least": 1, "unit": "in pixels"},
    "max_bucket": {"least": 1, "unit": "in pixels"},
    "text_encoder_rate": {"least": 0, "usual": (0, 0.01), "aliases": ("text_encoder_lr",)},
    "unet_rate": {"least": 0, "usual": (0, 0.01), "aliases": ("unet_lr",)},
    "network_dim": {"least": 1, "usual": (1, 512), "aliases": ("rank", "dim", "lora_rank")},
    "network_alpha": {"least": 0, "usual": (0, 512), "aliases": ("alpha", "lora_alpha")},
    "accumulation_steps": {"least": 1, "usual": (1, 256)},
    "optimizer": {"aliases": ("optimiser",)},
    "scheduler": {"aliases": ("lr_schedule",)},
    "warmup_steps": {"aliases": ("warmup",)},
    "color": {"aliases": ("color_augmentation", "colour")},
    "flip": {"aliases": ("flip_augmentation", "horizontal_flip")},
}  # fmt: skip

# What other tools call an operation, for "did you mean ...?".
OTHER_NAMES = {
    "text2image": ("txt2img", "t2i", "text_to_image", "generate", "draw", "imagine", "dream", "sd"),
    "image2image": ("img2img", "i2i", "image_to_image", "inpaint", "inpainting", "redraw"),
    "controlnet": ("control_net",),
    "models": ("checkpoints", "sd_models"),
    "train": ("finetune", "train_lora", "dreambooth"),
    "flux": ("flux_dev", "flux_schnell"),
    "face-swap": ("swap", "faceswap", "swap_face", "reactor", "roop"),
    "face-restore": ("codeformer", "gfpgan", "restore", "restore_face", "face_restoration"),
    "upscale": ("super_resolution", "superres", "esrgan", "realesrgan", "extras"),
    "describe": ("caption", "interrogate", "interrogator", "tag", "tagger", "blip", "deepbooru"),
    "detect-faces": ("faces", "face_detection", "face_detect"),
    "expand-prompt": ("magic_prompt", "prompt", "expand"),
    "hairstyle": ("hair", "recolor_hair"),
    "erase": ("remove_object", "object_removal", "inpaint", "cleanup", "eraser", "lama"),
    "outpaint": ("uncrop", "expand_image", "extend", "outpainting"),
    "control-preview": ("preprocess", "preprocessor", "annotate", "canny", "openpose"),
    "remove-background": ("rembg", "remove_bg", "background_removal", "cutout", "matting"),
    "enlarge": ("resize", "scale"),
}  # fmt: skip

# The part of a form in which parameters are shown; all others are in "Advanced".
GROUPS: dict[Group, tuple[str, ...]] = {
    "Image": ("image", "images", "mask", "face", "faces", "watermark"),
    "Prompt": ("prompt", "negative_prompt", "model", "control"),
    "Options": (
        "text", "position", "opacity", "scale", "hair", "fidelity", "mode", "preprocessor", "task",
        "face_index", "page", "page_size", "model_name",
    ),
    "Size": ("width", "height", "vertical", "horizontal", "batch_size", "batches", "count",
             "resize_mode"),
    "Sampling": (
        "sampler", "steps", "guidance", "denoising", "seed", "noise", "image_guidance",
        "temperature", "top_k", "top_p", "repetition_penalty", "max_tokens", "min_tokens",
    ),
    "High resolution": (
        "hires", "hires_scale", "hires_steps", "hires_width", "hires_height", "hires_upscaler",
    ),
    "Training": (
        "base_model", "epochs", "repeats", "learning_rate", "resolution", "network_dim",
        "network_alpha", "optimizer", "scheduler",
    ),
}  # fmt: skip

# What people call a parameter, where its name in words is not that.
TITLES = {
    "batches": "Batch count",
    "clip_skip": "CLIP skip",
    "callback_url": "Callback URL",
    "control": "ControlNet unit",
    "cpu_threads": "CPU threads",
    "denoising": "Denoising strength",
    "face": "Face to use",
    "faces": "Faces to use",
    "guidance": "Guidance scale",
    "hires": "High-resolution pass",
    "hires_height": "Target height",
    "hires_scale": "Upscale by",
    "hires_steps": "Steps of the second pass",
    "hires_upscaler": "Upscaler",
    "hires_width": "Target width",
    "image_guidance": "Image guidance scale",
    "inpaint_fill": "Masked content",
    "inpaint_full_resolution": "Inpaint at full resolution",
    "inpaint_padding": "Mask padding",
    "mask_blur_x": "Mask blur, horizontal",
    "mask_blur_y": "Mask blur, vertical",
    "network_alpha": "Network alpha",
    "network_dim": "Network rank",
    "noise": "Noise multiplier",
    "sd2": "Base model is SD 2.x",
    "settings": "Web UI settings",
    "text_encoder_rate": "Text encoder learning rate",
    "top_k": "Top k",
    "top_p": "Top p",
    "unet_rate": "U-Net learning rate",
    "vae": "VAE",
}

for _group, _names in GROUPS.items():
    for _name in _names:
        CONVENTIONS.setdefault(_name, {})["group"] = _group
for _name, _title in TITLES.items():
    CONVENTIONS.setdefault(_name, {})["title"] = _title
for _name, _operation in {"model": "models", "base_model": "models", "vae": "vaes"}.items():
    CONVENTIONS[_name]["listed_by"] = _operation
