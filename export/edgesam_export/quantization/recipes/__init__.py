"""Recipes of known checkpoints.

Scales are learned from 16 pictures, nodes chosen on 16 more: of each four of Drishti-GS (CC0), of
lung X-rays (CC0), of BRISC 2025 (CC BY 4.0, see NOTICE) and of the Data Science Bowl 2018 (CC0);
see ADR 11.
"""
