/// Locales in UTF-8 that glibc 2.41 has and 2.36 lacks.
let debian13Locales = "crh_RU gbm_IN kv_RU ltg_LV.UTF-8 mdf_RU scn_IT ssy_ER su_ID tok zgh_MA"

/// And the one that it has no longer.
let debian13LostLocales = "aa_ER@saaho"

/// Layouts and variants that xkeyboard-config 2.42 has and 2.35 lacks, a colon after each layout.
let debian13Keyboards = """
    ara: mac-phonetic br: rus by: phonetic cz: winkeys winkeys-qwerty eg: fr: ergol ergol_iso id: javanese melayu-phonetic
    melayu-phoneticx pegon-phonetic il: si2 in: asm-kagapa ben-kagapa guj-kagapa mal_poorna mni sat tam_tamilnumbers tamilnet
    tamilnet_TAB tamilnet_TSCII tamilnet_tamilnumbers ir: azb winkeys lv: modern-cyr no: colemak_dh colemak_dh_wide nz: mao ru: ab
    ruchey_en ruchey_ru tr: e us: colemak_dh_ortho colemak_dh_wide colemak_dh_wide_iso
    """

/// Variants that it has no longer.
let debian13LostKeyboards = """
    ara: qwerty qwerty_digits ca: multi multi-2gr es: mac gr: extended id: phonetic phoneticx in: eeyek olck tam_tamilnet
    tam_tamilnet_TAB tam_tamilnet_TSCII tam_tamilnet_with_tam_nums it: intl latam: colemak-gaming ru: phonetic_fr se: rus_nodeadkeys
    tr: ot otf otk otkf ua: rstu rstu_ru
    """

/// Layouts that it has no longer.
let debian13LostLayouts = "jv mao"
